//! Where there are no namespaces, there is no sandbox.

/// Refuses.
///
/// # Errors
/// Always.
pub fn enter(_: &[&str]) -> std::io::Result<bool> {
    Err(std::io::Error::other("this system is not Linux"))
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn serve() -> std::io::Result<()> {
    Err(std::io::Error::other("this system is not Linux"))
}
