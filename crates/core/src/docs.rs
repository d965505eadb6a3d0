//! Pages of the documentation that are made of a table of ours, and held current by a test.

/// The folder of the whole repository.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Compares a file with what it should hold, or, with UPDATE_DOCS, writes it.
pub(crate) fn is_current(path: &str, current: &str) {
    let path = format!("{ROOT}/{path}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, current).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).is_ok_and(|text| text == current),
        "{path} is not current: run UPDATE_DOCS=1 cargo test -p preview-core current"
    );
}

/// The same for what stands in a page between the marks of this name.
pub(crate) fn part_is_current(path: &str, name: &str, part: &str) {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let page = std::fs::read_to_string(format!("{ROOT}/{path}")).unwrap();
    let (before, rest) = page.split_once(&begin).expect("the mark of the beginning");
    let (_, after) = rest.split_once(&end).expect("the mark of the end");
    is_current(path, &format!("{before}{begin}\n{part}\n{end}{after}"));
}

/// That a page has this line.
pub(crate) fn has_line(path: &str, line: &str) {
    let page = std::fs::read_to_string(format!("{ROOT}/{path}")).unwrap();
    assert!(page.lines().any(|found| found == line), "{path} should have the line\n{line}");
}
