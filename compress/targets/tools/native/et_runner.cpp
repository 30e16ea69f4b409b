// Runs an ExecuTorch program without Python's torch: et_runner MODEL THREADS. Commands on stdin, one answer a line:
//   in LQ [NOISE]   raw files of its types, read once    -> "ok <inputs>"
//   run             one inference                        -> "ok <nanoseconds>"
//   out FILE        the last output, raw, of its type    -> "ok <bytes>"
// Anything that fails answers "error <text>" and ends the program with 1. Each run stands between two marks for the
// instruction counter of qemu_insn_count.c, getpriority(0x5150, 1) and (.., 2); elsewhere the call fails and does nothing.
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

// The wheel ships the library, not this header.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(uint32_t num_threads);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

using executorch::extension::Module;
using executorch::extension::TensorPtr;

static int fail(const std::string& text) {
  std::cout << "error " << text << std::endl;
  return 1;
}

static void mark(int tag) { getpriority(static_cast<__priority_which_t>(0x5150), tag); }

int main(int argc, char** argv) {
  if (argc != 3) return fail("usage: et_runner MODEL THREADS");
  auto* pool = executorch::extension::threadpool::get_threadpool();
  const uint32_t threads = std::atoi(argv[2]);
  if (pool != nullptr && pool->get_thread_count() != threads) pool->_unsafe_reset_threadpool(threads);
  Module module(argv[1]);
  if (module.load_forward() != executorch::runtime::Error::Ok) return fail("not a program that this runtime can load");
  auto meta = module.method_meta("forward");
  if (!meta.ok()) return fail("has no method forward");
  std::vector<std::vector<char>> values(meta->num_inputs());
  std::vector<TensorPtr> tensors(values.size());
  std::vector<char> output;
  std::cout << "ok " << (pool == nullptr ? 1 : pool->get_thread_count()) << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string verb, path;
    words >> verb;
    if (verb == "in") {
      for (size_t i = 0; i < values.size(); i++) {
        auto tensor = meta->input_tensor_meta(i);
        if (!(words >> path) || !tensor.ok()) return fail("takes " + std::to_string(values.size()) + " inputs");
        values[i].resize(tensor->nbytes());
        std::ifstream file(path, std::ios::binary);
        if (!file.read(values[i].data(), tensor->nbytes())) return fail(path + " is too short");
        std::vector<executorch::aten::SizesType> sizes(tensor->sizes().begin(), tensor->sizes().end());
        tensors[i] =
            executorch::extension::make_tensor_ptr(std::move(sizes), values[i].data(), tensor->scalar_type());
      }
      std::cout << "ok " << values.size() << std::endl;
    } else if (verb == "run") {
      std::vector<executorch::runtime::EValue> inputs(tensors.begin(), tensors.end());
      mark(1);
      const auto started = std::chrono::steady_clock::now();
      auto result = module.forward(inputs);
      const auto ended = std::chrono::steady_clock::now();
      mark(2);
      if (!result.ok()) return fail("inference failed: error " + std::to_string(static_cast<int>(result.error())));
      const auto& tensor = result->at(0).toTensor();
      const char* data = static_cast<const char*>(tensor.const_data_ptr());
      output.assign(data, data + tensor.nbytes());
      std::cout << "ok " << std::chrono::duration_cast<std::chrono::nanoseconds>(ended - started).count() << std::endl;
    } else if (verb == "out") {
      words >> path;
      std::ofstream file(path, std::ios::binary);
      file.write(output.data(), output.size());
      if (!file.flush()) return fail(path + " cannot be written");
      std::cout << "ok " << output.size() << std::endl;
    } else {
      return fail("unknown command " + verb);
    }
  }
  return 0;
}
