// The Vulkan device that ExecuTorch's runtime computes on, for Python: "type|name|driver", type as Vulkan numbers it
// (1 integrated GPU, 2 discrete GPU, 3 virtual GPU, 4 CPU); empty where there is none.
#include <executorch/backends/vulkan/runtime/vk_api/Adapter.h>
#include <executorch/backends/vulkan/runtime/vk_api/Runtime.h>

#include <exception>
#include <string>

extern "C" const char* vulkan_device() {
  static std::string text;
  try {
    auto* adapter = vkcompute::vkapi::runtime()->get_adapter_p();
    VkPhysicalDeviceDriverProperties driver{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceProperties2 device{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &driver};
    vkGetPhysicalDeviceProperties2(adapter->physical_handle(), &device);
    text = std::to_string(device.properties.deviceType) + "|" + device.properties.deviceName + "|" + driver.driverName +
           " " + driver.driverInfo;
  } catch (const std::exception&) {
    text.clear();
  }
  return text.c_str();
}
