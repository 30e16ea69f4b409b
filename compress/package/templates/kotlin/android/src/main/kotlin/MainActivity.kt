// Choose a picture; it is restored and written to the gallery. Apache License 2.0, see licences/.
package com.example.restore

import android.app.Activity
import android.content.ContentValues
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.ImageDecoder
import android.net.Uri
import android.os.Bundle
import android.provider.MediaStore
import android.widget.Button
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.TextView
import org.json.JSONObject
import kotlin.concurrent.thread

class MainActivity : Activity() {
    private lateinit var status: TextView
    private lateinit var shown: ImageView
    private val restorer by lazy { openRestorer() }

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        status = TextView(this)
        shown = ImageView(this)
        val choose = Button(this).apply {
            text = "Choose a picture"
            setOnClickListener {
                val open = Intent(Intent.ACTION_OPEN_DOCUMENT).setType("image/*").addCategory(Intent.CATEGORY_OPENABLE)
                startActivityForResult(open, 0)
            }
        }
        setContentView(LinearLayout(this).apply {
            orientation = LinearLayout.VERTICAL
            for (view in listOf(choose, status, shown)) addView(view)
        })
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        val uri = data?.data ?: return
        status.text = "Restoring"
        thread {
            try {
                val started = System.nanoTime()
                val restored = restorer.restore(read(uri))
                val seconds = (System.nanoTime() - started) / 1e9
                val bitmap = bitmap(restored)
                save(bitmap)
                runOnUiThread {
                    shown.setImageBitmap(bitmap)
                    status.text = "${restored.width} x ${restored.height} px in %.1f s".format(seconds)
                }
            } catch (error: Exception) {
                runOnUiThread { status.text = error.message }
            }
        }
    }

    private fun openRestorer(): Restorer {
        val facts = JSONObject(assets.open("compress.json").bufferedReader().readText())
        val tile = facts.getJSONArray("tile")
        val read = Facts(
            facts.getInt("scale"), intArrayOf(tile.getInt(0), tile.getInt(1)), facts.getInt("overlap"),
            facts.getString("io") == "uint8", facts.getString("noise"),
        )
        return Restorer(read, openModel(this, facts.getString("model"), read))
    }

    private fun read(uri: Uri): Picture {
        val decoded = ImageDecoder.decodeBitmap(ImageDecoder.createSource(contentResolver, uri)) { decoder, _, _ ->
            decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE
        }
        val pixels = IntArray(decoded.width * decoded.height)
        decoded.getPixels(pixels, 0, decoded.width, 0, 0, decoded.width, decoded.height)
        val rgb = ByteArray(3 * pixels.size) { (pixels[it / 3] shr (16 - 8 * (it % 3))).toByte() }
        return Picture(decoded.height, decoded.width, rgb)
    }

    private fun bitmap(picture: Picture): Bitmap {
        fun value(i: Int) = picture.rgb[i].toInt() and 255
        val pixels = IntArray(picture.height * picture.width) {
            (255 shl 24) or (value(3 * it) shl 16) or (value(3 * it + 1) shl 8) or value(3 * it + 2)
        }
        return Bitmap.createBitmap(pixels, picture.width, picture.height, Bitmap.Config.ARGB_8888)
    }

    private fun save(bitmap: Bitmap) {
        val values = ContentValues().apply {
            put(MediaStore.Images.Media.DISPLAY_NAME, "restored_${System.currentTimeMillis()}.png")
            put(MediaStore.Images.Media.MIME_TYPE, "image/png")
        }
        val uri = contentResolver.insert(MediaStore.Images.Media.EXTERNAL_CONTENT_URI, values) ?: return
        contentResolver.openOutputStream(uri)?.use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
    }
}
