// The artifact in its runtime: one tile of one size. model.cpp is the only file that knows the runtime.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

class Model {
 public:
    // Throws std::exception, as run does, where the runtime refuses the file.
    explicit Model(const std::string& path);
    ~Model();

    bool takes_bytes = false;  // pictures as they are, 8 bits, which it enlarges; else enlarged ones, floats in [0, 1]
    bool takes_noise = false;
    bool takes_seed = false;    // of a window of the noise that it holds, instead of the noise
    int height = 0, width = 0;  // of a tile of the output, in px
    std::size_t picture_bytes = 0, noise_bytes = 0, restored_bytes = 0;  // that run reads and writes

    // picture: (h, w, 3) bytes, or (3, height, width) floats in [0, 1]; noise: (16, H/8, W/8) floats, standard normal,
    // H and W being height and width, rounded up to 32, or one std::int64_t, the seed; restored: (height, width, 3)
    // bytes, or (3, height, width) floats in [0, 1]. RGB.
    void run(const void* picture, const void* noise, void* restored);

 private:
    struct Runtime;
    std::unique_ptr<Runtime> runtime_;
};
