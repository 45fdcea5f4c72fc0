//! A backend that installs nothing.

/// Negotiates only, as pluto without KLIPS did.
#[derive(Debug, Default)]
pub struct NoneKernel {
    _private: (),
}
