// The artifact in ONNX Runtime. Apache License 2.0, see licences/.
package com.example.restore

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.TensorInfo
import android.content.Context
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import java.nio.LongBuffer

fun openModel(context: Context, path: String, facts: Facts): Model {
    val environment = OrtEnvironment.getEnvironment()
    val session = environment.createSession(context.assets.open(path).use { it.readBytes() })
    val shapes = session.inputInfo.mapValues { (it.value.info as TensorInfo).shape }
    val first = if (facts.takesBytes) "image" else "lq"
    val beside = if (facts.takesSeed) "seed" else "noise"

    fun tensor(name: String, values: Any): OnnxTensor = when (values) {
        is ByteArray -> {
            val direct = ByteBuffer.allocateDirect(values.size).order(ByteOrder.nativeOrder())
            direct.put(values).rewind()
            OnnxTensor.createTensor(environment, direct, shapes.getValue(name), OnnxJavaType.UINT8)
        }
        is LongArray -> OnnxTensor.createTensor(environment, LongBuffer.wrap(values), shapes.getValue(name))
        else -> OnnxTensor.createTensor(environment, FloatBuffer.wrap(values as FloatArray), shapes.getValue(name))
    }

    return object : Model {
        override fun run(picture: Any, noise: Any?): Any {
            val inputs = buildMap {
                put(first, tensor(first, picture))
                if (noise != null) put(beside, tensor(beside, noise))
            }
            try {
                session.run(inputs).use { outputs ->
                    val output = outputs[0] as OnnxTensor
                    if (!facts.takesBytes) return output.floatBuffer.let { FloatArray(it.remaining()).also(it::get) }
                    return output.byteBuffer.let { ByteArray(it.remaining()).also(it::get) }
                }
            } finally {
                inputs.values.forEach { it.close() }
            }
        }
    }
}
