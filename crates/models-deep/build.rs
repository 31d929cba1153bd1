//! With the feature `tch`: makes the tests, benches and examples of this package find libtorch where
//! it was when they were built, and tells the same to packages that depend on this one.
//!
//! Cargo passes link arguments to the targets of the package that asks for them only. A package with
//! programs of its own repeats these link arguments with `DEP_FORECASTLE_MODELS_DEEP_LIBTORCH_LIB`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::metadata=libtorch_lib={folder}");
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
        // No symbol of it is used by name, so linkers would leave it out, and GPUs with it.
        let cuda = format!("{folder}/libtorch_cuda.so");
        if std::path::Path::new(&cuda).exists() {
            println!("cargo::rustc-link-arg=-Wl,--no-as-needed,{cuda},--as-needed");
        }
    }
}
