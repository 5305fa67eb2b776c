//! Exceptions from a limit, by name and size, which can only shrink.

/// Something that has a size: a folder, a file, a function.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) name: String,
    /// Where it is: a path, or a path and a line.
    pub(crate) place: String,
    pub(crate) size: usize,
}

/// A size that is allowed although it is beyond the limit.
pub(crate) type Exception = (&'static str, usize);

/// Complains of each size that is beyond `limit` and beyond its exception, and of each exception that could be smaller.
/// `kind` says what is counted, `list` is the name of the list of exceptions, `cure` says what to do.
pub(crate) fn complaints(
    found: &[Measured],
    limit: usize,
    exceptions: &[Exception],
    (kind, list, cure): (&str, &str, &str),
) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut open: Vec<Exception> = exceptions.to_vec();
    let mut large: Vec<&Measured> = found.iter().filter(|item| item.size > limit).collect();
    large.sort_by_key(|item| std::cmp::Reverse(item.size));
    for Measured { name, place, size } in large {
        // Names may stand twice in the list: the largest takes the largest exception.
        let exception = open
            .iter()
            .enumerate()
            .filter(|(_, (other, _))| other == name)
            .max_by_key(|(_, (_, size))| *size);
        let allowed = exception.map(|(n, _)| n).map(|n| open.remove(n).1);
        match allowed {
            None => complaints.push(format!("{place}: `{name}` has {size} {kind}, more than {limit}: {cure}")),
            Some(allowed) if *size > allowed => complaints.push(format!(
                "{place}: `{name}` has grown from {allowed} to {size} {kind}, and more than {limit} are too many: {cure}"
            )),
            Some(allowed) if size * 10 < allowed * 9 => complaints.push(format!(
                "{place}: `{name}` has shrunk from {allowed} to {size} {kind}: write {size} in limits.rs, {list}"
            )),
            Some(_) => {}
        }
    }
    complaints.extend(open.iter().map(|(name, _)| {
        format!("limits.rs: `{name}` is gone, or has at most {limit} {kind} now: remove it from {list}")
    }));
    complaints
}

/// Complains of a count that is beyond its limit of today, or more than a tenth below.
pub(crate) fn count(count: usize, today: usize, what: &str, constant: &str, cure: &str) -> Option<String> {
    if count > today {
        Some(format!("{count} {what}, more than {today}: {cure}"))
    } else if count * 10 < today * 9 {
        Some(format!("{count} {what}, fewer than {today}: write {count} in limits.rs, {constant}"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sizes: &[(&str, usize)], exceptions: &[Exception]) -> Vec<String> {
        let found: Vec<Measured> = sizes
            .iter()
            .map(|(name, size)| Measured {
                name: name.to_string(),
                place: "src/a.rs:1".to_string(),
                size: *size,
            })
            .collect();
        complaints(&found, 40, exceptions, ("lines", "LONG", "split it"))
    }

    #[test]
    fn a_size_beyond_the_limit_needs_an_exception() {
        assert!(check(&[("f", 40)], &[]).is_empty());
        assert_eq!(check(&[("f", 41)], &[]), ["src/a.rs:1: `f` has 41 lines, more than 40: split it"]);
        assert!(check(&[("f", 50)], &[("f", 50)]).is_empty());
        assert_eq!(check(&[("f", 50), ("f", 45)], &[("f", 50)]).len(), 1);
    }

    #[test]
    fn an_exception_only_shrinks() {
        assert!(check(&[("f", 51)], &[("f", 50)])[0].contains("has grown from 50 to 51"));
        assert!(check(&[("f", 90)], &[("f", 100)]).is_empty());
        assert!(check(&[("f", 89)], &[("f", 100)])[0].contains("write 89 in limits.rs, LONG"));
        assert!(check(&[("f", 40)], &[("f", 41)])[0].contains("remove it from LONG"));
        assert!(check(&[], &[("f", 41)])[0].contains("`f` is gone"));
    }

    #[test]
    fn a_count_stays_near_its_limit() {
        assert!(
            count(11, 10, "words", "WORDS", "fewer")
                .is_some_and(|complaint| complaint == "11 words, more than 10: fewer")
        );
        assert!(count(9, 10, "words", "WORDS", "fewer").is_none());
        assert!(count(8, 10, "words", "WORDS", "fewer").is_some_and(|complaint| complaint.contains("WORDS")));
        assert!(count(0, 0, "words", "WORDS", "fewer").is_none());
    }
}
