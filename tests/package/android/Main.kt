// Restores one picture by the package in a folder, and writes it as a PPM file.
package com.example.restore

import android.content.Context
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * `args`: the package's folder, and of its compress.json model, scale, tile (two), overlap, io and noise; files of the
 * picture's bytes, its height and width, of the noise's floats, the file to write, and the seed.
 */
fun main(args: Array<String>) {
    val given = args.iterator()
    val folder = File(given.next())
    val model = given.next()
    fun number() = given.next().toInt()
    val facts = Facts(number(), intArrayOf(number(), number()), number(), given.next() == "uint8", given.next())
    val bytes = File(given.next()).readBytes()
    val picture = Picture(number(), number(), bytes)
    val floats = ByteBuffer.wrap(File(given.next()).readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
    val noise = FloatArray(floats.remaining()).also { floats.get(it) }
    val out = File(given.next())
    val restorer = Restorer(facts, openModel(Context(folder), model, facts))
    val restored = restorer.restore(picture, noise, given.next().toLong())
    out.writeBytes("P6\n${restored.width} ${restored.height}\n255\n".toByteArray() + restored.rgb)
}
