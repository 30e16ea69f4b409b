// Restores a picture of any size: enlarge, mirror at the edges, cut into tiles, run each, blend. run.py says the same.
#pragma once

#include <cstdint>
#include <vector>

#include "model.hpp"

struct Picture {
    int height = 0, width = 0;
    std::vector<std::uint8_t> rgb;  // (height, width, 3)
};

// Floats of the noise for a picture: (16, h/8, w/8), h and w being the output's sides, rounded up to 32 px. Throws
// std::runtime_error, as restore does, for a picture whose output takes more than 2 GB.
std::size_t noise_size(const Picture& picture);

// noise: noise_size floats, standard normal, in one piece for the whole picture; nothing where the model takes none.
// seed: in [0, 16777215], of a model that takes one. Throws std::runtime_error for noise of another size, a seed out of
// range, and for NaN or infinity in the noise or in what the artifact gives.
Picture restore(Model& model, const Picture& picture, const std::vector<float>& noise, std::int64_t seed = 0);
