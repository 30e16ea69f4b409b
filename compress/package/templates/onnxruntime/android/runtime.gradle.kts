// The runtime's AAR, of the version that the artifact was made with.
val facts = groovy.json.JsonSlurper().parse(file("../compress.json")) as Map<*, *>

dependencies { add("implementation", "com.microsoft.onnxruntime:onnxruntime-android:${facts["runtime_version"]}") }
