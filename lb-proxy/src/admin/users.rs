//! What a user of this machine is called.

use std::fs;

/// The name of a user, as far as the machine's own list has it.
pub(super) fn name_of(uid: u32) -> String {
    let list = fs::read_to_string("/etc/passwd").unwrap_or_default();
    find(&list, uid).map_or_else(|| format!("uid {uid}"), str::to_owned)
}

fn find(list: &str, uid: u32) -> Option<&str> {
    let wanted = uid.to_string();
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)? == wanted).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let list = "root:x:0:0:root:/root:/bin/sh\n\n+::\nann:x:1000:100::/:/bin/sh\n";
        assert_eq!((find(list, 0), find(list, 1000)), (Some("root"), Some("ann")));
        assert_eq!((find(list, 100), find("", 0)), (None, None));
    }
}
