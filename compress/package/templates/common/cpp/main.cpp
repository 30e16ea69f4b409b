// restore MODEL PICTURE.ppm RESTORED.ppm [NOISE]: restores a picture of any size. Apache License 2.0, see licences/.
//
// Pictures are binary PPM (P6, 8 bits), so that nothing but the runtime is needed: `convert photo.jpg -auto-orient
// photo.ppm`, or decode into a Picture with the library that your product has. NOISE is a file of floats, for the very
// picture that `compress restore` and run.py give:
//   numpy.random.default_rng(seed).standard_normal((16, h // 8, w // 8), dtype="float32").tofile("noise.bin")
// with h and w the sides of the output rounded up to 32. Any other standard normal noise does as well. For a model that
// takes a seed, NOISE is the seed.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>

#include "restore.hpp"

// A pipe would be waited for.
static void check_input(const std::string& path) {
    if (!std::filesystem::is_regular_file(path)) throw std::runtime_error(path + ": no such file");
}

static Picture read_ppm(const std::string& path) {
    check_input(path);
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    const std::streamoff bytes = file.tellg();  // a header may ask for more memory than there is
    file.seekg(0);
    std::string magic, word;
    int numbers[3], count = 0;  // width, height, largest value
    file >> magic;
    while (magic == "P6" && count < 3 && file >> word) {
        if (word[0] == '#')
            std::getline(file, word);
        else
            numbers[count++] = std::atoi(word.c_str());
    }
    if (count < 3 || numbers[0] < 1 || numbers[1] < 1 || numbers[2] != 255)
        throw std::runtime_error(path + ": not a PPM of 8 bits (P6, 255)");
    file.get();
    Picture picture{numbers[1], numbers[0], {}};
    if (numbers[0] > bytes / 3 / numbers[1]) throw std::runtime_error(path + ": shorter than its header says");
    picture.rgb.resize(3 * static_cast<std::size_t>(picture.width) * picture.height);
    if (!file.read(reinterpret_cast<char*>(picture.rgb.data()), static_cast<std::streamsize>(picture.rgb.size())))
        throw std::runtime_error(path + ": shorter than its header says");
    return picture;
}

// Beside its place, then renamed: where it cannot be written, what was there stays.
static void write_ppm(const std::string& path, const Picture& picture) {
    if (std::filesystem::exists(path) && !std::filesystem::is_regular_file(path))  // a device would be replaced
        throw std::runtime_error(path + ": is not a file");
    const std::string part = path + ".part";
    std::filesystem::remove(part);  // it may be a link
    std::ofstream file(part, std::ios::binary);
    file << "P6\n" << picture.width << " " << picture.height << "\n255\n";
    file.write(reinterpret_cast<const char*>(picture.rgb.data()), static_cast<std::streamsize>(picture.rgb.size()));
    file.close();
    if (!file) {
        std::filesystem::remove(part);
        throw std::runtime_error(path + ": cannot be written");
    }
    std::filesystem::rename(part, path);
}

static std::vector<float> read_noise(const std::string& path, std::size_t size) {
    check_input(path);
    std::vector<float> noise(size);
    std::ifstream file(path, std::ios::binary);
    if (!file.read(reinterpret_cast<char*>(noise.data()), static_cast<std::streamsize>(size * sizeof(float))) ||
        file.peek() != EOF)
        throw std::runtime_error(path + ": must hold " + std::to_string(size) + " floats, and nothing else");
    return noise;
}

static std::vector<float> draw_noise(std::size_t size) {
    std::vector<float> noise(size);
    std::mt19937_64 generator(0);
    std::normal_distribution<float> normal;
    for (float& sample : noise) sample = normal(generator);
    return noise;
}

static std::int64_t read_seed(const std::string& text) {
    std::size_t end = 0;
    std::int64_t seed = -1;
    try {
        seed = std::stoll(text, &end);
    } catch (const std::exception&) {
    }
    if (text.empty() || end != text.size()) throw std::runtime_error(text + ": not a seed, which is a whole number");
    return seed;
}

// A name, or a runtime's words about a stranger's artifact, on one line: "?" for each character that a terminal obeys.
static std::string printable(const std::string& text) {
    std::string shown;
    for (std::size_t i = 0, bytes = 1; i < text.size(); i += bytes) {
        const auto at = [&](std::size_t j) { return i + j < text.size() ? static_cast<unsigned char>(text[i + j]) : 0; };
        const bool ascii = at(0) < 0x20 || at(0) == 0x7F, control = at(0) == 0xC2 && at(1) >= 0x80 && at(1) < 0xA0;
        const bool line = at(0) == 0xE2 && at(1) == 0x80 && at(2) >= 0xA8 && at(2) <= 0xAE;  // and direction
        const bool direction = at(0) == 0xE2 && at(1) == 0x81 && at(2) >= 0xA6 && at(2) <= 0xA9;
        bytes = line || direction ? 3 : control ? 2 : 1;
        shown += ascii || bytes > 1 ? '?' : text[i];
    }
    return shown;
}

int main(int argc, char** argv) try {
    if (argc != 4 && argc != 5) throw std::runtime_error("usage: restore MODEL PICTURE.ppm RESTORED.ppm [NOISE]");
    Model model(argv[1]);
    const Picture picture = read_ppm(argv[2]);
    if (std::filesystem::exists(argv[3]) && std::filesystem::equivalent(argv[2], argv[3]))
        throw std::runtime_error(std::string(argv[3]) + ": would replace the picture to restore: give another name");
    std::vector<float> noise;
    const std::size_t size = noise_size(picture);
    if (model.takes_noise) noise = argc == 5 ? read_noise(argv[4], size) : draw_noise(size);
    const std::int64_t seed = model.takes_seed && argc == 5 ? read_seed(argv[4]) : 0;
    write_ppm(argv[3], restore(model, picture, noise, seed));
    return 0;
} catch (const std::exception& error) {
    std::cerr << printable(error.what()) << std::endl;
    return 1;
}
