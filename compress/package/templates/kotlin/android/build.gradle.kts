// An app that restores a picture of the gallery: gradle installDebug. Apache License 2.0, see licences/.
plugins {
    id("com.android.application") version "8.7.3"
    id("org.jetbrains.kotlin.android") version "2.1.0"
}

// The artifact and compress.json become assets of the app.
val artifact = tasks.register<Copy>("artifact") {
    from("..") { include("compress.json", "artifact/**") }
    into(layout.buildDirectory.dir("artifact"))
}

android {
    namespace = "com.example.restore"
    compileSdk = 35
    defaultConfig {
        applicationId = "com.example.restore"
        minSdk = 29
        targetSdk = 35
    }
    sourceSets["main"].assets.srcDir(layout.buildDirectory.dir("artifact"))
    androidResources { noCompress += listOf("onnx", "pte") }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    kotlinOptions { jvmTarget = "17" }
}

tasks.named("preBuild") { dependsOn(artifact) }
apply(from = "runtime.gradle.kts")
