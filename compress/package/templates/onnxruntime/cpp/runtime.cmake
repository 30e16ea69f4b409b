# ONNX Runtime: -DONNXRUNTIME=..., the folder of its release archive (onnxruntime-linux-x64-*.tgz).
set(ONNXRUNTIME "" CACHE PATH "Folder of ONNX Runtime, with include/ and lib/")
find_path(
  ONNXRUNTIME_INCLUDE onnxruntime_cxx_api.h REQUIRED
  HINTS ${ONNXRUNTIME}
  PATH_SUFFIXES include include/onnxruntime)
find_library(ONNXRUNTIME_LIBRARY onnxruntime REQUIRED HINTS ${ONNXRUNTIME} PATH_SUFFIXES lib)
target_include_directories(restore PRIVATE ${ONNXRUNTIME_INCLUDE})
target_link_libraries(restore PRIVATE ${ONNXRUNTIME_LIBRARY})
