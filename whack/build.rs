//! Links the unwinder into the programs instead of loading it with each of them: whack lives for
//! a millisecond, of which a library takes its share (it is to C what `-static-libgcc` is).

use std::error::Error;
use std::path::Path;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let gnu = std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu");
    let native = std::env::var("HOST")? == std::env::var("TARGET")?;
    if gnu && native && there_is("libgcc_eh.a") {
        // The standard library asks for libgcc_s by name; the linker finds this before it.
        let dir = std::env::var("OUT_DIR")?;
        std::fs::write(Path::new(&dir).join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n")?;
        println!("cargo::rustc-link-search=native={dir}");
    }
    Ok(())
}

/// Whether the C compiler has it; it repeats the name of what it does not know.
fn there_is(library: &str) -> bool {
    let asked = Command::new("cc").arg(format!("-print-file-name={library}")).output();
    asked.is_ok_and(|told| String::from_utf8_lossy(&told.stdout).trim_end().contains('/'))
}
