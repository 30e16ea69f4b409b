// Compiles a model with Intel's NPU compiler, without an NPU: npu_compile MODEL BLOB KEY=VALUE...
// Answers on stdout, among the compiler's own log: "npuc ok <milliseconds>", or "npuc error <text>" and exit status 1.
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 8
typedef int (*call)();

static int fail(const char *text) {
  printf("\nnpuc error ");
  for (; *text; text++) putchar(*text == '\n' || *text == '\r' ? ' ' : *text);
  putchar('\n');
  fflush(stdout);
  ExitProcess(1);
  return 1;
}

int main(int argc, char **argv) {
  setvbuf(stdout, 0, _IONBF, 0);
  if (argc < 3 || argc > 3 + MOST) return fail("usage: npu_compile MODEL BLOB KEY=VALUE...");
  HMODULE library = LoadLibraryA("openvino_c.dll");
  if (!library) return fail("openvino_c.dll cannot be loaded");
  call create = (call)GetProcAddress(library, "ov_core_create");
  call read = (call)GetProcAddress(library, "ov_core_read_model");
  call compile = (call)GetProcAddress(library, "ov_core_compile_model");
  call export = (call)GetProcAddress(library, "ov_compiled_model_export_model");
  const char *(*why)() = (const char *(*)())GetProcAddress(library, "ov_get_last_err_msg");
  if (!create || !read || !compile || !export || !why) return fail("openvino_c.dll lacks a function");
  void *core = 0, *model = 0, *compiled = 0;
  if (create(&core)) return fail(why());
  if (read(core, argv[1], NULL, &model)) return fail(why());
  char *given[2 * MOST] = {0};
  size_t n = 0;
  for (int i = 3; i < argc; i++) {
    char *equals = strchr(argv[i], '=');
    if (!equals) return fail("a setting must be KEY=VALUE");
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
  printf("\nnpuc ok %lu\n", (unsigned long)took);
  fflush(stdout);
  ExitProcess(0);  // unloading the plugin hangs under Wine
  return 0;
}
