// Stands before the system's header of this name when llama.cpp is compiled with Vulkan by `cargo xtask test --vulkan`.
// Vulkan's headers before 1.3.272 (Debian 12 has 1.3.239) do not know the extension VK_EXT_layer_settings. llama.cpp names its
// types, for a check that only a debugging layer makes; without such a layer they are never passed on. With newer headers
// nothing is added.
#pragma once
#include_next <vulkan/vulkan.hpp>

#ifndef VK_EXT_layer_settings
#include <cstdint>

namespace vk {

enum class LayerSettingTypeEXT { eBool32 = 0 };

struct LayerSettingEXT {
    const char *        pLayerName;
    const char *        pSettingName;
    LayerSettingTypeEXT type;
    uint32_t            valueCount;
    const void *        pValues;
};

struct LayerSettingsCreateInfoEXT {
    // VK_STRUCTURE_TYPE_LAYER_SETTINGS_CREATE_INFO_EXT
    uint32_t                sType        = 1000496000;
    const void *            pNext        = nullptr;
    uint32_t                settingCount = 0;
    const LayerSettingEXT * pSettings    = nullptr;

    template <class Settings>
    explicit LayerSettingsCreateInfoEXT(const Settings & settings)
        : settingCount(static_cast<uint32_t>(settings.size())), pSettings(settings.data()) {}
};

}  // namespace vk
#endif
