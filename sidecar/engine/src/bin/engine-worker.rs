//! The worker process by itself: what `ainonymous` runs as a hidden subcommand.

fn main() -> std::process::ExitCode {
    ainonymous_engine::run_worker()
}
