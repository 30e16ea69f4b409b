// Restores a picture of any size with an artifact of one size. Apache License 2.0, see licences/.
#include "restore.hpp"

#include <algorithm>
#include <climits>
#include <cmath>
#include <stdexcept>
#include <string>

#include "facts.hpp"

namespace {

constexpr int GRID = 32;  // px; tiles start at its multiples, where every stride of the networks has the same phase
constexpr int LATENT = 8, CHANNELS = 16;  // px of the output per sample of the noise, and its channels
// Of the noise in a model that takes a seed: its samples, and what to add to a seed for one row or column further.
constexpr std::int64_t PERIOD = 127 * 128, MOST_SEED = (1 << 24) - 1, ROW_STEP = 2944, COLUMN_STEP = 12319;
constexpr double PI = 3.14159265358979323846;

int rounded_up(int size) { return (size + GRID - 1) / GRID * GRID; }

// Which of `inside` samples the sample `i` mirrors: at the last one's centre, or at its edge.
int mirrored(int i, int inside, bool edge) {
    const int period = edge ? 2 * inside : std::max(1, 2 * (inside - 1));
    const int at = i % period;
    return at < inside ? at : period - at - (edge ? 1 : 0);
}

// Tiles along one side. The model may pad its tile itself, to `taken`: what its noise is for.
struct Axis {
    int size, tile, whole, taken, padded;
    std::vector<int> starts;

    Axis(int side, int of_tile)
        : size(side), tile(of_tile), whole(rounded_up(side)), taken(rounded_up(of_tile)),
          padded(of_tile + rounded_up(std::max(0, side - of_tile))) {
        const int step = (tile - OVERLAP) / GRID * GRID;
        if (step < GRID) throw std::runtime_error("compress.json is not of this artifact: its tile is another");
        for (int start = 0; start < padded - tile; start += step) starts.push_back(start);
        starts.push_back(padded - tile);
    }

    // Index of the pixel that each padded one mirrors, of the picture on the output grid (unit 1), or of the small one
    // that the model enlarges `unit` times: that is mirrored at the last pixel's edge.
    std::vector<int> pixels(int unit) const { return all(size / unit, padded / unit, unit > 1); }

    // The same of the noise's samples.
    std::vector<int> samples() const { return all(whole / LATENT, (padded - tile + taken) / LATENT, false); }

    // Weight of each px of each tile; they sum to one wherever tiles overlap. Over what two tiles share: nothing in the
    // outer quarter, whose sight is cut short, then a raised cosine.
    std::vector<std::vector<float>> weights() const {
        std::vector<std::vector<double>> of_each(starts.size(), std::vector<double>(tile, 1));
        std::vector<double> total(padded);
        for (std::size_t i = 0; i + 1 < starts.size(); i++) {
            const int shared = starts[i] + tile - starts[i + 1];
            for (int j = 0; j < shared; j++) {
                const double at = std::clamp((j + 0.5) / shared * 2 - 0.5, 0.0, 1.0);
                const double ramp = std::max(0.5 - 0.5 * std::cos(PI * at), 1e-6);
                of_each[i][tile - 1 - j] *= ramp;
                of_each[i + 1][j] *= ramp;
            }
        }
        for (std::size_t i = 0; i < starts.size(); i++)
            for (int j = 0; j < tile; j++) total[starts[i] + j] += of_each[i][j];
        std::vector<std::vector<float>> weights(starts.size(), std::vector<float>(tile));
        for (std::size_t i = 0; i < starts.size(); i++)
            for (int j = 0; j < tile; j++) weights[i][j] = static_cast<float>(of_each[i][j] / total[starts[i] + j]);
        return weights;
    }

 private:
    static std::vector<int> all(int inside, int padded, bool edge) {
        std::vector<int> index(padded);
        for (int i = 0; i < padded; i++) index[i] = mirrored(i, inside, edge);
        return index;
    }
};

// --- enlarging as Pillow does, which the models learnt from: bicubic, a = -0.5, in integers of 22 bits, rows first ---

constexpr int BITS = 22;

double bicubic(double x) {
    constexpr double a = -0.5;
    x = std::abs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

// One direction: `lines` lines of `size` px, whose px are `step` bytes apart and whose lines `line` bytes.
void stretch(const std::uint8_t* from, std::uint8_t* to, int lines, int size, int line, int step, int line_to,
             int step_to) {
    for (int out = 0; out < size * SCALE; out++) {
        const double center = (out + 0.5) / SCALE;
        const int first = std::max(0, static_cast<int>(center - 1.5));
        const int end = std::min(size, static_cast<int>(center + 2.5));
        double values[5], sum = 0;
        int taps[5];
        for (int i = first; i < end; i++) sum += values[i - first] = bicubic(i - center + 0.5);
        for (int i = 0; i < end - first; i++)
            taps[i] = static_cast<int>(values[i] / sum * (1 << BITS) + (values[i] < 0 ? -0.5 : 0.5));
        for (int y = 0; y < lines; y++) {
            for (int channel = 0; channel < 3; channel++) {
                int value = 1 << (BITS - 1);
                for (int i = first; i < end; i++) value += from[y * line + i * step + channel] * taps[i - first];
                value = std::clamp(value >> BITS, 0, 255);
                to[y * line_to + out * step_to + channel] = static_cast<std::uint8_t>(value);
            }
        }
    }
}

Picture enlarged(const Picture& small) {
    const int height = small.height, width = small.width, row = 3 * width, row_to = row * SCALE;
    std::vector<std::uint8_t> wide(small.rgb.size() * SCALE);
    stretch(small.rgb.data(), wide.data(), height, width, row, 3, row_to, 3);
    Picture large{height * SCALE, width * SCALE, std::vector<std::uint8_t>(wide.size() * SCALE)};
    stretch(wide.data(), large.rgb.data(), width * SCALE, height, 3, row_to, 3, row_to);
    return large;
}

// --- one tile -----------------------------------------------------------------------------------------------------

bool all_finite(const std::vector<float>& values) {
    return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

// A window of the picture, (h, w, 3) bytes, and of the noise, or its seed -> (height, width, 3) floats in [0, 1].
std::vector<float> run(Model& model, const std::vector<std::uint8_t>& window, const void* noise) {
    const std::size_t plane = static_cast<std::size_t>(model.height) * model.width;
    std::vector<float> restored(3 * plane);
    if (model.takes_bytes) {
        std::vector<std::uint8_t> bytes(3 * plane);
        model.run(window.data(), noise, bytes.data());
        for (std::size_t i = 0; i < bytes.size(); i++) restored[i] = bytes[i] / 255.0f;
        return restored;
    }
    std::vector<float> lq(3 * plane), hq(3 * plane);
    for (std::size_t i = 0; i < plane; i++)
        for (int c = 0; c < 3; c++) lq[c * plane + i] = window[3 * i + c] / 255.0f;
    model.run(lq.data(), noise, hq.data());
    if (!all_finite(hq)) throw std::runtime_error("the artifact gives NaN or infinity: get an undamaged package");
    for (std::size_t i = 0; i < plane; i++)
        for (int c = 0; c < 3; c++) restored[3 * i + c] = hq[c * plane + i];
    return restored;
}

// The window of these rows and columns: (height, width, 3), or of the noise (16, height, width).
std::vector<std::uint8_t> cut(const Picture& picture, const int* rows, int height, const int* columns, int width) {
    std::vector<std::uint8_t> window;
    window.reserve(3 * static_cast<std::size_t>(height) * width);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const std::uint8_t* at = &picture.rgb[3 * (static_cast<std::size_t>(rows[y]) * picture.width + columns[x])];
            window.insert(window.end(), at, at + 3);
        }
    return window;
}

std::vector<float> cut(const std::vector<float>& noise, int noise_height, int noise_width, const int* rows, int height,
                       const int* columns, int width) {
    std::vector<float> window;
    window.reserve(static_cast<std::size_t>(CHANNELS) * height * width);
    for (int c = 0; c < CHANNELS; c++)
        for (int y = 0; y < height; y++) {
            const float* row = &noise[(static_cast<std::size_t>(c) * noise_height + rows[y]) * noise_width];
            for (int x = 0; x < width; x++) window.push_back(row[columns[x]]);
        }
    return window;
}

// All sides and indices are ints.
void check_size(const Picture& picture) {
    if (picture.height < 1 || picture.width < 1) throw std::runtime_error("the picture has no pixels");
    if (picture.height > INT_MAX / (3 * SCALE * SCALE) / picture.width)
        throw std::runtime_error("the picture is too large: cut it into smaller ones");
}

// A damaged artifact may read and write past the ends of what it is given.
void check_model(const Model& model) {
    const bool positive = model.height > 0 && model.width > 0;
    const std::size_t plane = positive ? static_cast<std::size_t>(model.height) * model.width : 0;
    const std::size_t restored = 3 * plane * (model.takes_bytes ? 1 : sizeof(float));
    const std::size_t picture = model.takes_bytes ? restored / (SCALE * SCALE) : restored;
    std::size_t noise = model.takes_seed ? sizeof(std::int64_t) : 0;
    if (model.takes_noise && positive)
        noise = CHANNELS * static_cast<std::size_t>(rounded_up(model.height) / LATENT) *
                (rounded_up(model.width) / LATENT) * sizeof(float);
    if (!positive || model.picture_bytes != picture || model.noise_bytes != noise || model.restored_bytes != restored)
        throw std::runtime_error("the artifact's shapes are not those of its package: get an undamaged package");
}

void check_noise(const std::vector<float>& noise, std::size_t size) {
    if (noise.size() != size) throw std::runtime_error("the noise must be " + std::to_string(size) + " floats");
    if (!all_finite(noise)) throw std::runtime_error("the noise holds NaN or infinity");
}

}  // namespace

std::size_t noise_size(const Picture& picture) {
    check_size(picture);
    const std::size_t height = rounded_up(picture.height * SCALE), width = rounded_up(picture.width * SCALE);
    return CHANNELS * (height / LATENT) * (width / LATENT);
}

Picture restore(Model& model, const Picture& picture, const std::vector<float>& noise, std::int64_t seed) {
    check_model(model);
    check_size(picture);
    if (picture.rgb.size() != 3 * static_cast<std::size_t>(picture.height) * picture.width)
        throw std::runtime_error("the picture has another number of bytes than its sides say");
    if (model.takes_noise) check_noise(noise, noise_size(picture));
    if (model.takes_seed && (seed < 0 || seed > MOST_SEED))
        throw std::runtime_error("the seed must be in [0, " + std::to_string(MOST_SEED) + "]");
    const int unit = model.takes_bytes ? SCALE : 1;  // px of the output per px of what is cut
    const Picture given = SCALE > unit ? enlarged(picture) : picture;
    const Axis rows(picture.height * SCALE, model.height), columns(picture.width * SCALE, model.width);
    const std::vector<int> y_of = rows.pixels(unit), x_of = columns.pixels(unit);
    const std::vector<int> v_of = rows.samples(), u_of = columns.samples();
    const auto down = rows.weights(), across = columns.weights();
    Picture restored{rows.size, columns.size, {}};
    restored.rgb.resize(3 * static_cast<std::size_t>(rows.size) * columns.size);
    const std::size_t line = 3 * static_cast<std::size_t>(columns.padded);
    std::vector<float> band(rows.tile * line);  // one row of tiles, in [0, 1]
    for (std::size_t i = 0; i < rows.starts.size(); i++) {
        const int top = rows.starts[i], end = i + 1 < rows.starts.size() ? rows.starts[i + 1] : rows.padded;
        for (std::size_t j = 0; j < columns.starts.size(); j++) {
            const int left = columns.starts[j];
            const auto window =
                cut(given, &y_of[top / unit], rows.tile / unit, &x_of[left / unit], columns.tile / unit);
            std::vector<float> samples;
            if (model.takes_noise)
                samples = cut(noise, rows.whole / LATENT, columns.whole / LATENT, &v_of[top / LATENT],
                              rows.taken / LATENT, &u_of[left / LATENT], columns.taken / LATENT);
            const std::int64_t own = (seed + top / LATENT * ROW_STEP + left / LATENT * COLUMN_STEP) % PERIOD;
            const void* given = model.takes_seed ? static_cast<const void*>(&own) : samples.data();
            const std::vector<float> tile = run(model, window, given);
            for (int y = 0, at = 0; y < rows.tile; y++)
                for (int x = 0; x < columns.tile; x++)
                    for (int c = 0; c < 3; c++, at++)
                        band[y * line + 3 * (left + x) + c] += tile[at] * (down[i][y] * across[j][x]);
        }
        for (int y = top; y < std::min(end, rows.size); y++)  // these rows no later tile touches
            for (int x = 0; x < 3 * columns.size; x++) {
                const float value = std::clamp(band[(y - top) * line + x], 0.0f, 1.0f);
                restored.rgb[3 * static_cast<std::size_t>(y) * columns.size + x] =
                    static_cast<std::uint8_t>(value * 255 + 0.5f);
            }
        const std::size_t done = (end - top) * line;
        std::copy(band.begin() + done, band.end(), band.begin());
        std::fill(band.end() - done, band.end(), 0.0f);
    }
    return restored;
}
