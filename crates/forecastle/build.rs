//! With the feature `tch`: makes tests and examples find libtorch where it was when they were built.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(folder) = std::env::var("DEP_FORECASTLE_MODELS_DEEP_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
        // No symbol of it is used by name, so the linker would leave it out and no GPU be seen.
        let cuda = format!("{folder}/libtorch_cuda.so");
        if std::path::Path::new(&cuda).exists() {
            println!("cargo::rustc-link-arg=-Wl,--no-as-needed,{cuda},--as-needed");
        }
    }
}
