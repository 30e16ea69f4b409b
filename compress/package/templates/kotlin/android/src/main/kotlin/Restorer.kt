// Restores a picture of any size: enlarge, mirror at the edges, cut into tiles, run each, blend. run.py says the same.
// Nothing of Android and of the runtime is in this file. Apache License 2.0, see licences/.
package com.example.restore

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.cos
import kotlin.math.max
import kotlin.math.min

/** The artifact in its runtime: one tile of one size. */
interface Model {
    /**
     * `picture`: (h, w, 3) bytes where `takesBytes`, else (3, H, W) floats in [0, 1], as a ByteArray or FloatArray;
     * `noise`: (16, H/8, W/8), of sides rounded up to 32, standard normal, as a FloatArray, or the seed, as a LongArray
     * of one. Gives (H, W, 3) bytes, or (3, H, W) floats in [0, 1].
     */
    fun run(picture: Any, noise: Any?): Any
}

/** What compress.json says. `tile`: height and width in px of the output; `overlap`: px that neighbours share. */
class Facts(val scale: Int, val tile: IntArray, val overlap: Int, val takesBytes: Boolean, noise: String) {
    val takesNoise = noise == "input"
    val takesSeed = noise == "seed" // of a window of the noise that it holds
}

/** `rgb`: (height, width, 3). */
class Picture(val height: Int, val width: Int, val rgb: ByteArray)

private const val GRID = 32 // px; tiles start at its multiples, where every stride of the networks has the same phase
private const val LATENT = 8 // px of the output per sample of the noise
private const val CHANNELS = 16

// Of the noise in a model that takes a seed: its samples, and what to add to a seed for one row or column further.
private const val PERIOD = 127L * 128
private const val MOST_SEED = (1L shl 24) - 1
private const val ROW_STEP = 2944L
private const val COLUMN_STEP = 12319L

fun roundedUp(size: Int) = (size + GRID - 1) / GRID * GRID

/** Which of `inside` samples the sample `i` mirrors: at the last one's centre, or at its edge. */
private fun mirrored(i: Int, inside: Int, edge: Boolean): Int {
    val period = if (edge) 2 * inside else max(1, 2 * (inside - 1))
    val at = i % period
    return if (at < inside) at else period - at - (if (edge) 1 else 0)
}

/** Tiles along one side. The model may pad its tile itself, to `taken`: what its noise is for. */
private class Axis(val size: Int, val tile: Int, overlap: Int) {
    val whole = roundedUp(size)
    val taken = roundedUp(tile)
    val padded = tile + roundedUp(max(0, size - tile))
    val starts = (0 until padded - tile step (tile - overlap) / GRID * GRID).toList() + (padded - tile)

    /**
     * Index of the pixel that each padded one mirrors, of the picture on the output grid (`unit` 1), or of the small
     * one that the model enlarges `unit` times: that is mirrored at the last pixel's edge.
     */
    fun pixels(unit: Int) = IntArray(padded / unit) { mirrored(it, size / unit, unit > 1) }

    /** The same of the noise's samples. */
    fun samples() = IntArray((padded - tile + taken) / LATENT) { mirrored(it, whole / LATENT, false) }

    /**
     * Weight of each px of each tile; they sum to one wherever tiles overlap. Over what two tiles share: nothing in the
     * outer quarter, whose sight is cut short, then a raised cosine.
     */
    fun weights(): List<FloatArray> {
        val ofEach = starts.map { DoubleArray(tile) { 1.0 } }
        for (i in 0 until starts.size - 1) {
            val shared = starts[i] + tile - starts[i + 1]
            for (j in 0 until shared) {
                val at = min(1.0, max(0.0, (j + 0.5) / shared * 2 - 0.5))
                val ramp = max(0.5 - 0.5 * cos(PI * at), 1e-6)
                ofEach[i][tile - 1 - j] *= ramp
                ofEach[i + 1][j] *= ramp
            }
        }
        val total = DoubleArray(padded)
        starts.forEachIndexed { i, start -> for (j in 0 until tile) total[start + j] += ofEach[i][j] }
        return starts.mapIndexed { i, start -> FloatArray(tile) { (ofEach[i][it] / total[start + it]).toFloat() } }
    }
}

class Restorer(private val facts: Facts, private val model: Model) {
    /** Floats of the noise for a picture: (16, h/8, w/8), h and w being the output's sides, rounded up to 32 px. */
    fun noiseSize(picture: Picture): Int {
        val (height, width) = listOf(picture.height, picture.width).map { roundedUp(it * facts.scale) / LATENT }
        return CHANNELS * height * width
    }

    /** Standard normal; the same noise gives the same picture. */
    fun drawNoise(picture: Picture, seed: Long = 0): FloatArray {
        if (!facts.takesNoise) return FloatArray(0)
        val random = java.util.Random(seed)
        return FloatArray(noiseSize(picture)) { random.nextGaussian().toFloat() }
    }

    /**
     * `seed`: in [0, 16777215], of a model that takes one. Throws IllegalArgumentException for noise of another size, a
     * seed out of range, and for NaN or infinity in the noise or in what the model gives.
     */
    fun restore(picture: Picture, noise: FloatArray = drawNoise(picture), seed: Long = 0): Picture {
        require(picture.rgb.size == 3 * picture.height * picture.width) { "the picture has another number of bytes" }
        require(!facts.takesNoise || noise.size == noiseSize(picture)) { "the noise must be ${noiseSize(picture)} floats" }
        require(noise.all { it.isFinite() }) { "the noise holds NaN or infinity" }
        require(!facts.takesSeed || seed in 0..MOST_SEED) { "the seed must be in [0, $MOST_SEED]" }
        val unit = if (facts.takesBytes) facts.scale else 1 // px of the output per px of what is cut
        val given = if (facts.scale > unit) enlarged(picture, facts.scale) else picture
        val rows = Axis(picture.height * facts.scale, facts.tile[0], facts.overlap)
        val columns = Axis(picture.width * facts.scale, facts.tile[1], facts.overlap)
        val cut = Window(given, rows.pixels(unit), columns.pixels(unit), rows.tile / unit, columns.tile / unit)
        val samples = Samples(noise, rows, columns)
        fun noiseAt(top: Int, left: Int): Any? = when {
            facts.takesSeed -> longArrayOf((seed + top / LATENT * ROW_STEP + left / LATENT * COLUMN_STEP) % PERIOD)
            facts.takesNoise -> samples.at(top, left)
            else -> null
        }
        val down = rows.weights()
        val across = columns.weights()
        val restored = Picture(rows.size, columns.size, ByteArray(3 * rows.size * columns.size))
        val line = 3 * columns.padded
        val band = FloatArray(rows.tile * line) // one row of tiles, in [0, 1]
        rows.starts.forEachIndexed { i, top ->
            columns.starts.forEachIndexed { j, left ->
                val tile = run(cut.at(top / unit, left / unit), noiseAt(top, left))
                var at = 0
                for (y in 0 until rows.tile) for (x in 0 until columns.tile) for (c in 0 until 3)
                    band[y * line + 3 * (left + x) + c] += tile[at++] * (down[i][y] * across[j][x])
            }
            val end = if (i + 1 < rows.starts.size) rows.starts[i + 1] else rows.padded
            for (y in top until min(end, rows.size)) for (x in 0 until 3 * columns.size) { // no later tile touches it
                val value = min(1f, max(0f, band[(y - top) * line + x]))
                restored.rgb[3 * y * columns.size + x] = (value * 255 + 0.5f).toInt().toByte()
            }
            val done = (end - top) * line
            band.copyInto(band, 0, done)
            band.fill(0f, band.size - done)
        }
        return restored
    }

    /** A window of the picture, (h, w, 3) bytes, and of the noise, or its seed -> (H, W, 3) floats in [0, 1]. */
    private fun run(window: ByteArray, noise: Any?): FloatArray {
        val plane = facts.tile[0] * facts.tile[1]
        if (facts.takesBytes) {
            val made = model.run(window, noise) as ByteArray
            return FloatArray(3 * plane) { (made[it].toInt() and 255) / 255f }
        }
        val lq = FloatArray(3 * plane) { (window[3 * (it % plane) + it / plane].toInt() and 255) / 255f }
        val hq = model.run(lq, noise) as FloatArray
        require(hq.all { it.isFinite() }) { "the artifact gives NaN or infinity: get an undamaged package" }
        return FloatArray(3 * plane) { hq[it % 3 * plane + it / 3] }
    }
}

/** Windows of a picture by index: (height, width, 3). */
private class Window(
    val picture: Picture, val rows: IntArray, val columns: IntArray, val height: Int, val width: Int,
) {
    fun at(top: Int, left: Int): ByteArray {
        val window = ByteArray(3 * height * width)
        for (y in 0 until height) for (x in 0 until width) {
            val from = 3 * (rows[top + y] * picture.width + columns[left + x])
            picture.rgb.copyInto(window, 3 * (y * width + x), from, from + 3)
        }
        return window
    }
}

/** Windows of the noise under the whole picture: (16, H/8, W/8). */
private class Samples(val noise: FloatArray, rows: Axis, columns: Axis) {
    private val v = rows.samples()
    private val u = columns.samples()
    private val height = rows.taken / LATENT
    private val width = columns.taken / LATENT
    private val noiseHeight = rows.whole / LATENT
    private val noiseWidth = columns.whole / LATENT

    fun at(top: Int, left: Int) = FloatArray(CHANNELS * height * width) {
        val row = v[top / LATENT + it / width % height]
        noise[(it / (height * width) * noiseHeight + row) * noiseWidth + u[left / LATENT + it % width]]
    }
}

// --- enlarging as Pillow does, which the models learnt from: bicubic, a = -0.5, in integers of 22 bits, rows first ---

private const val BITS = 22

private fun bicubic(distance: Double): Double {
    val a = -0.5
    val x = abs(distance)
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1
    return if (x < 2) (((x - 5) * x + 8) * x - 4) * a else 0.0
}

/** One direction: `lines` lines of `size` px, whose px are step bytes apart, and whose lines line bytes. */
private fun stretched(
    from: ByteArray, lines: Int, size: Int, scale: Int, line: Int, step: Int, lineTo: Int, stepTo: Int,
): ByteArray {
    val to = ByteArray(from.size * scale)
    for (out in 0 until size * scale) {
        val center = (out + 0.5) / scale
        val first = max(0, (center - 1.5).toInt())
        val values = DoubleArray(min(size, (center + 2.5).toInt()) - first) { bicubic(it + first - center + 0.5) }
        val sum = values.sum()
        val taps = IntArray(values.size) {
            (values[it] / sum * (1 shl BITS) + (if (values[it] < 0) -0.5 else 0.5)).toInt()
        }
        for (y in 0 until lines) for (c in 0 until 3) {
            var value = 1 shl (BITS - 1)
            for (i in taps.indices) value += (from[y * line + (first + i) * step + c].toInt() and 255) * taps[i]
            to[y * lineTo + out * stepTo + c] = min(255, max(0, value shr BITS)).toByte()
        }
    }
    return to
}

fun enlarged(small: Picture, scale: Int): Picture {
    val row = 3 * small.width
    val wide = stretched(small.rgb, small.height, small.width, scale, row, 3, row * scale, 3)
    val large = stretched(wide, small.width * scale, small.height, scale, 3, row * scale, 3, row * scale)
    return Picture(small.height * scale, small.width * scale, large)
}
