//! Dockerfiles of which a builder sees other instructions than whoever reads them.

use super::*;

fn refused(text: &str) -> DockerfileError {
    OwnDockerfile::parse(text).map(|read| format!("{read:?}")).expect_err(text)
}

fn images(text: &str) -> Vec<String> {
    let read = OwnDockerfile::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    read.images().keys().cloned().collect()
}

const ADD: &str = "ADD http://127.0.0.1/x /x";

#[test]
fn a_carriage_return_hides_nothing() {
    let text = "FROM x\nADD \\\r\r\nhttp://169.254.169.254/x /x\n";
    assert_eq!(refused(text), DockerfileError::LineEnd(2));
    for text in ["FROM x\rADD a b\n", "FROM x\nRUN <<EOF\ntrue\nEOF\r\r\n", "FROM x\nRUN a\r"] {
        assert!(matches!(refused(text), DockerfileError::LineEnd(_)), "{text:?}");
    }
    // Windows' own are the end of a line.
    assert_eq!(refused("FROM x\r\nADD \\\r\nhttp://169.254.169.254/x /x\r\n"), DockerfileError::NearAdd(2));
    let text = "FROM x\r\nRUN <<EOF\r\nhello\r\nEOF\r\nRUN a \\\r\n && b\r\nUSER app\r\nEXPOSE 80\r\n";
    let read = OwnDockerfile::parse(text).unwrap();
    assert_eq!((read.final_user(), read.exposed_ports().len()), (Some("app"), 1));
    assert_eq!(read.into_text(), text);
}

#[test]
fn a_documents_name_hides_nothing() {
    for text in [
        format!("FROM node:22\nRUN <<\"E\\\\\"\ntrue\nE\\\n{ADD}\n"),
        "FROM evil.example/x\nRUN <<E\"O\"F\nhello\nEOF\n".to_owned(),
        "FROM evil.example/x\nRUN <<\"A B\"\nhello\nA B\n".to_owned(),
        "FROM x\nRUN <<\"\"\nhello\n\nFROM evil.example/x\n".to_owned(),
        "FROM x\nRUN echo don't <<CMD\nFROM evil.example/x\nCMD\n".to_owned(),
        "FROM x\nRUN [\"a\"] <<CMD\nFROM evil.example/x\nCMD\n".to_owned(),
    ] {
        assert_eq!(refused(&text), DockerfileError::Heredoc(2), "{text}");
    }
    // With a document beside it that older frontends don't know, only newer ones can build these.
    for (line, hidden) in [
        ("ONBUILD CMD <<CMD", "FROM evil.example/x"),
        ("ONBUILD RUN\u{85} <<CMD", "FROM evil.example/x"),
        ("RUN [\"a\", \"b <<CMD\"]", "FROM evil.example/x"),
        ("RUN echo \"a <<CMD \"", "FROM evil.example/x"),
        ("RUN echo 'a <<CMD '", "COPY --from=evil.example/x / /"),
        ("RUN a<<  <<CMD", "COPY --from=evil.example/x / /"),
    ] {
        let text = format!("FROM x\nRUN <<EOF\nhello\nEOF\n{line}\n{hidden}\nCMD\n");
        match OwnDockerfile::parse(&text) {
            Ok(read) => assert!(read.images().contains_key("evil.example/x"), "{text}"),
            Err(error) => assert_eq!(error, DockerfileError::Heredoc(5), "{text}"),
        }
    }
}

#[test]
fn a_document_with_blanks_before_its_name_is_judged_as_one_and_as_none() {
    assert_eq!(images("FROM org/base\nRUN << EOF\nhello\nEOF\nCOPY --from=org/other / /\n"), ["org/base", "org/other"]);
    assert_eq!(images("FROM x\nRUN <<\t'CMD'\nFROM org/hidden\nCMD\n"), ["org/hidden"]);
    assert_eq!(images("FROM org/base\nRUN << EOF\nhello\nEOF\nRUN << CMD\nFROM y\nCMD\n"), ["org/base"]);
    assert_eq!(refused(&format!("FROM x\nRUN << CMD\n{ADD}\nCMD\n")), DockerfileError::NearAdd(3));
}

#[test]
fn what_no_builder_knows_is_refused_and_switches_nothing_off() {
    for (text, line) in [
        ("FROM evil.example/x\nADDITION http://x /x\n", 2),
        ("FROM evil.example/x\nRUN <<EOF\nhello\n", 3),
        ("FROM evil.example/x\nRUN <<EOF\nhello\nEOF\nhello\n", 5),
        ("FROM 10.0.0.5:5000/x\nRUN ls\n\u{a0}\u{0}\n", 3),
    ] {
        assert_eq!(refused(text), DockerfileError::UnknownInstruction(line), "{text}");
    }
}

/// BuildKit takes these letters for `i` and `k`.
#[test]
fn an_instruction_is_known_in_other_letters_too() {
    assert_eq!(refused(&format!("FROM x\nONBU\u{130}LD {ADD}\n")), DockerfileError::NearAdd(2));
    assert_eq!(OwnDockerfile::parse("FROM x\nWOR\u{212A}DIR /\nUSER app\n").unwrap().final_user(), Some("app"));
}

#[test]
fn an_escape_that_only_some_builders_see_is_refused() {
    let hidden = format!("FROM x\nRUN echo `\n{ADD}\n");
    assert_eq!(refused(&format!("# check=skip=all\n# escape=`\n{hidden}")), DockerfileError::Escape(2));
    assert_eq!(refused(&format!("#\u{a0}escape=`\n{hidden}")), DockerfileError::NearAdd(4));
    assert_eq!(refused(&format!("#\u{b}check=skip=all\n# escape=`\n{hidden}")), DockerfileError::Escape(2));
    assert!(OwnDockerfile::parse("# escape=`\n# check=skip=all\nFROM x\nRUN a `\n b\n").is_ok());
    assert!(OwnDockerfile::parse("# check=skip=all\n# escape=\\\nFROM x\nRUN a \\\n b\n").is_ok());
}

#[test]
fn images_of_previews_are_seen_through_every_cut() {
    for (text, line) in [
        ("FROM x\nhello FROM preview-deployer/org-secret-3:1", 2),
        ("FROM x\n\nCOPY --from=pre\\\r\r\nview-dep\\\nloyer/org-secret-3 / /", 3),
        ("from\\\n# x\npreview-deployer/x", 3),
        ("--from='index.docker.io/preview\"-deployer/x", 1),
    ] {
        assert_eq!(hides_preview(text), Some(line), "{text}");
    }
    for fine in ["FROM x\nRUN curl https://example.com/preview-deployer/x", "FROM x AS preview-deployer"] {
        assert_eq!(hides_preview(fine), None, "{fine}");
    }
    // By its parts it shows only in a reading that isn't the newest one.
    let text = "ARG A=preview\nFROM x\nRUN << CMD\nFROM ${A}-deployer/org-secret-3\nCMD\n";
    assert_eq!(refused(text), DockerfileError::ForeignPreview(4));
}
