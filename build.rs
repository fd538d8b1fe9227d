//! Tells the linker that Node.js brings the symbols of Node-API.

fn main() {
    #[cfg(feature = "napi")]
    napi_build::setup();
}
