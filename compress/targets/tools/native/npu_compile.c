// Compiles a model with Intel's NPU compiler, without an NPU: npu_compile MODEL BLOB KEY=VALUE...
// Answers on stdout, among the compiler's own log: "npuc ok <milliseconds>", or "npuc error <text>" and exit status 1.
// Linked with kernel32 alone, so that zig does not build MinGW's whole C runtime (400 files, two minutes) for one page:
// the few functions of C are taken from msvcrt.dll, which every Windows and Wine has.
#include <stddef.h>

#define MOST 8
#define SYSTEM __declspec(dllimport)
typedef int (*call)();
typedef unsigned long DWORD;  // 32 bits, there

SYSTEM void *LoadLibraryA(const char *name);
SYSTEM call GetProcAddress(void *library, const char *name);
SYSTEM DWORD GetTickCount(void);
SYSTEM void ExitProcess(unsigned code);

static call print, put, flush;
static char *given[2 * MOST];

static int fail(const char *text) {
  print("\nnpuc error ");
  for (; *text; text++) put(*text == '\n' || *text == '\r' ? ' ' : *text);
  put('\n');
  flush(NULL);
  ExitProcess(1);
  return 1;
}

int start(void) {
  void *c = LoadLibraryA("msvcrt.dll");
  call arguments = GetProcAddress(c, "__getmainargs");
  print = GetProcAddress(c, "printf"), put = GetProcAddress(c, "putchar");
  flush = GetProcAddress(c, "fflush");
  int argc = 0, mode = 0;
  char **argv = 0, **environment = 0;
  arguments(&argc, &argv, &environment, 0, &mode);
  if (argc < 3 || argc > 3 + MOST) return fail("usage: npu_compile MODEL BLOB KEY=VALUE...");
  void *library = LoadLibraryA("openvino_c.dll");
  if (!library) return fail("openvino_c.dll cannot be loaded");
  call create = GetProcAddress(library, "ov_core_create");
  call read = GetProcAddress(library, "ov_core_read_model");
  call compile = GetProcAddress(library, "ov_core_compile_model");
  call export = GetProcAddress(library, "ov_compiled_model_export_model");
  const char *(*why)() = (const char *(*)())GetProcAddress(library, "ov_get_last_err_msg");
  if (!create || !read || !compile || !export || !why) return fail("openvino_c.dll lacks a function");
  void *core = 0, *model = 0, *compiled = 0;
  if (create(&core)) return fail(why());
  if (read(core, argv[1], NULL, &model)) return fail(why());
  size_t n = 0;
  for (int i = 3; i < argc; i++) {
    char *equals = argv[i];
    while (*equals && *equals != '=') equals++;
    if (!*equals) return fail("a setting must be KEY=VALUE");
    *equals = 0;
    given[n++] = argv[i];
    given[n++] = equals + 1;
  }
  const DWORD started = GetTickCount();
  // Variadic in the C API: unused places are never read.
  if (compile(core, model, "NPU", n, &compiled, given[0], given[1], given[2], given[3], given[4], given[5], given[6],
              given[7], given[8], given[9], given[10], given[11], given[12], given[13], given[14], given[15]))
    return fail(why());
  const DWORD took = GetTickCount() - started;
  if (export(compiled, argv[2])) return fail(why());
  print("\nnpuc ok %lu\n", took);
  flush(NULL);
  ExitProcess(0);  // unloading the plugin hangs under Wine
  return 0;
}
