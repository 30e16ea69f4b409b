// Counts an AArch64 program's instructions by class: a TCG plugin for qemu-aarch64 (plugin API version 1, QEMU 7.2 on).
// The program marks regions with getpriority(0x5150, tag); at each mark one line on stderr tells what ran since the last:
//   insn {"mark": 2, "total": 1234, "dot_product": 56, ...}
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

// Declared by hand: Debian ships QEMU's plugin interface without its header.
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*translate_cb)(plugin_id, struct qemu_plugin_tb *);
typedef void (*syscall_cb)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                           uint64_t, uint64_t);
#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, translate_cb);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
extern void qemu_plugin_register_vcpu_syscall_cb(plugin_id, syscall_cb);

enum { TOTAL, DOT, MIXED_DOT, MATMUL, INT_MULTIPLY, FMLA, FMLA_HALF, BF16, SVE, LOAD_STORE, CLASSES };
static const char *names[] = {"total", "dot_product", "mixed_dot_product", "int8_matrix", "int_multiply",
                              "fmla",  "fmla_fp16",   "bf16",              "sve",         "load_store"};
static uint64_t count[CLASSES], seen[CLASSES];

// Arm ARM, C4.1 "A64 instruction set encoding": vector three same (extra), by element, three different.
static int class_of(uint32_t i) {
  const uint32_t size = (i >> 22) & 3, group = (i >> 25) & 15;
  if (((i & 0x9f20fc00) == 0x0e009400 || (i & 0x9f00f400) == 0x0f00e000) && size == 2) return DOT;  // sdot, udot
  if ((i & 0xbf20fc00) == 0x0e009c00 || (i & 0xbf00f400) == 0x0f00f000) return MIXED_DOT;           // usdot, sudot
  if ((i & 0xdfe0fc00) == 0x4e80a400 || (i & 0xffe0fc00) == 0x4e80ac00) return MATMUL;  // smmla, ummla, usmmla
  if ((i & 0xffe0fc00) == 0x6e40ec00 || (i & 0xbfe0fc00) == 0x2e40fc00) return BF16;    // bfmmla, bfdot
  if (group == 2) return SVE;
  if ((i & 0xbf20fc00) == 0x0e20cc00 || (i & 0xbf80b400) == 0x0f801000) return FMLA;       // fmla, fmls: single, double
  if ((i & 0xbf60fc00) == 0x0e400c00 || (i & 0xbfc0b400) == 0x0f001000) return FMLA_HALF;  // fmla, fmls: half
  if ((i & 0x9f200c00) == 0x0e200000 && ((i >> 12) & 15) >= 8) return INT_MULTIPLY;        // smlal, umull, ...
  if ((i & 0x9f009400) == 0x0f000000 || (i & 0x9f00f400) == 0x0f00a000) return INT_MULTIPLY;  // mla, smlal, smull by element
  if ((i & 0x9f20fc00) == 0x0e209400) return INT_MULTIPLY;                                    // mla, mls
  return (i & 0x0a000000) == 0x08000000 ? LOAD_STORE : TOTAL;
}

static void translate(plugin_id id, struct qemu_plugin_tb *block) {
  uint32_t found[CLASSES] = {0};
  const size_t n = qemu_plugin_tb_n_insns(block);
  for (size_t k = 0; k < n; k++) {
    uint32_t word;
    memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, k)), 4);
    const int which = class_of(word);
    if (which != TOTAL) found[which]++;
  }
  found[TOTAL] = n;
  for (int q = 0; q < CLASSES; q++)
    if (found[q]) qemu_plugin_register_vcpu_tb_exec_inline(block, 0, &count[q], found[q]);
}

static void on_syscall(plugin_id id, unsigned cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                       uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
  if (number != 141 || a != 0x5150) return;  // getpriority
  fprintf(stderr, "insn {\"mark\": %llu", (unsigned long long)b);
  for (int q = 0; q < CLASSES; q++) {
    fprintf(stderr, ", \"%s\": %llu", names[q], (unsigned long long)(count[q] - seen[q]));
    seen[q] = count[q];
  }
  fprintf(stderr, "}\n");
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
  qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
  qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
  return 0;
}
