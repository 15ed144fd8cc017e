//! Invites, which people get as text: the bytes in them, and texts. One that is read can be written, and is the same.
#![no_main]

use ainonymous_fuzz::invite_text;
use ainonymous_verify::invite::Invite;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check(&invite_text(bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        check(text);
    }
});

fn check(text: &str) {
    if let Ok(invite) = Invite::from_text(text) {
        let again = invite.to_text().expect("what was read is within the bounds");
        assert_eq!(Invite::from_text(&again).ok().as_ref(), Some(&invite));
    }
}
