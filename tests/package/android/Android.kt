// What OpenModel.kt uses of Android, over files.
package android.content

import java.io.File

class Context(folder: File) {
    val assets = AssetManager(folder)
}

class AssetManager(private val folder: File) {
    fun open(path: String) = File(folder, path).inputStream()
}
