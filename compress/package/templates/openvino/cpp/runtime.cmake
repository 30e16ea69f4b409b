# OpenVINO: -DOpenVINO_DIR=..., of its archive the folder runtime/cmake, of its wheel what this prints:
#   python -c "import openvino; print(openvino.__path__[0] + '/cmake')"
find_package(OpenVINO REQUIRED COMPONENTS Runtime)
target_link_libraries(restore PRIVATE openvino::runtime)
