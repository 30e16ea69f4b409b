// The artifact in ExecuTorch. Apache License 2.0, see licences/.
package com.example.restore

import android.content.Context
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor
import java.io.File

fun openModel(context: Context, path: String, facts: Facts): Model {
    val file = File(context.filesDir, "model.pte") // ExecuTorch opens files, and assets are none
    context.assets.open(path).use { from -> file.outputStream().use { from.copyTo(it) } }
    val module = Module.load(file.path)
    val (height, width) = facts.tile.map { it.toLong() }
    val small = longArrayOf(1, height / facts.scale, width / facts.scale, 3)
    val noiseShape = longArrayOf(1, 16, roundedUp(facts.tile[0]) / 8L, roundedUp(facts.tile[1]) / 8L)

    return object : Model {
        override fun run(picture: Any, noise: Any?): Any {
            val given =
                if (facts.takesBytes) Tensor.fromBlobUnsigned(picture as ByteArray, small)
                else Tensor.fromBlob(picture as FloatArray, longArrayOf(1, 3, height, width))
            val beside = when (noise) {
                is FloatArray -> Tensor.fromBlob(noise, noiseShape)
                is LongArray -> Tensor.fromBlob(noise, longArrayOf(1))
                else -> null
            }
            val inputs = listOfNotNull(given, beside).map { EValue.from(it) }
            val output = module.forward(*inputs.toTypedArray())[0].toTensor()
            return if (facts.takesBytes) output.dataAsUnsignedByteArray else output.dataAsFloatArray
        }
    }
}
