//! Spring Boot: its Maven plugin or parent in `pom.xml`, or its plugin in `build.gradle` (see `gradle`).
//!
//! Built by the project's own wrapper, or by the Maven of the image. The JDK is the long-term release that the project asks for.

use minijinja::context;

use crate::repo_config::{ContainerPort, RelativePath};

use super::{Beneath, DetectError, Files, Framework, Project, Recipe, Scope, commands, gradle, render};

const TEMPLATE: &str = include_str!("../../../../templates/spring.Dockerfile");
/// Where Spring Boot listens when nothing is said.
const PORT: ContainerPort = ContainerPort::new(8080).unwrap();
/// The releases of Java that are maintained for years.
const LONG_TERM: [u8; 5] = [8, 11, 17, 21, 25];
/// For a project that doesn't say which Java it wants.
const JAVA: u8 = 21;

/// How it is built.
struct Build {
    /// The file that shows it.
    manifest: String,
    reason: &'static str,
    /// The release of Java.
    java: u8,
    /// The image with what builds it.
    image: String,
    /// The cache mount.
    cache: &'static str,
    command: String,
    /// Where the built archive lies.
    output: String,
    scope: Scope,
}

pub(super) fn find(project: Project<'_>) -> Result<Option<Recipe>, DetectError> {
    let by_maven = maven(project)?;
    let Some(build) = by_maven.map_or_else(|| by_gradle(project), |found| Ok(Some(found)))? else { return Ok(None) };
    let images = &project.rules.base_images;
    let app_port = project.config.app_port.unwrap_or(PORT);
    let java = build.java;
    let values = context! {
        jdk => images.named(&build.image),
        jre => images.named(&format!("eclipse-temurin:{java}-jre")),
        cache => build.cache,
        command => build.command,
        output => build.output,
        commands => commands::run_lines(&project.config.build_commands, &format!("--mount=type=cache,{} ", build.cache)),
        port => app_port.get(),
    };
    Ok(Some(Recipe {
        framework: Framework::Spring,
        reason: format!("`{}` uses Spring Boot; {}, Java {java}", build.manifest, build.reason),
        dockerfile: render(TEMPLATE, images, values),
        app_port,
        user: Some("10001:10001".to_owned()),
        scope: build.scope,
        migration: None,
        own: None,
    }))
}

/// The folder that is built, and the app's folder from there: a module of Maven is built with those that it needs.
fn base(project: Project<'_>) -> Result<(RelativePath, RelativePath), DetectError> {
    for (base, folder) in project.root.parents() {
        let pom = Beneath::new(project.checkout, &base).read("pom.xml")?.unwrap_or_default();
        if elements(&pom, "module").any(|module| module.parse().is_ok_and(|module: RelativePath| module == folder)) {
            return Ok((base, folder));
        }
    }
    Ok((project.root.clone(), only_module(project)?.unwrap_or_default()))
}

/// The one module that becomes a program, where the `pom.xml` at hand only holds modules together.
fn only_module(project: Project<'_>) -> Result<Option<RelativePath>, DetectError> {
    let pom = project.files.read("pom.xml")?.unwrap_or_default();
    let mut programs: Vec<RelativePath> = Vec::new();
    for module in elements(&pom, "module").filter_map(|module| module.parse().ok()) {
        let pom = Beneath::new(project.files, &module).read("pom.xml")?.unwrap_or_default();
        if pom.contains("spring-boot-maven-plugin") {
            programs.push(module);
        }
    }
    let path = |module: &RelativePath| project.root.join(module).to_string();
    match programs.len() {
        0 | 1 => Ok(programs.pop()),
        _ => Err(DetectError::SeveralServers(programs.iter().map(path).collect())),
    }
}

fn maven(project: Project<'_>) -> Result<Option<Build>, DetectError> {
    let (context, folder) = base(project)?;
    let module = (!folder.is_all()).then_some(&folder);
    let base = Beneath::new(project.checkout, &context);
    let pom = match module {
        Some(module) => Beneath::new(&base, module).read("pom.xml")?,
        None => base.read("pom.xml")?,
    };
    let Some(pom) = pom.filter(|pom| pom.contains("spring-boot")) else { return Ok(None) };
    let parent = base.read("pom.xml")?.unwrap_or_default();
    let wrapped = base.has("", "mvnw")? && base.has(".mvn/wrapper", "maven-wrapper.properties")?;
    let tool = if wrapped { "sh ./mvnw" } else { "mvn" };
    let said = ["java.version", "maven.compiler.release", "maven.compiler.target", "release"];
    let mut versions = [&pom, &parent].into_iter().flat_map(|pom| said.iter().flat_map(|name| elements(pom, name)));
    let java = java(versions.find_map(number));
    let only = module.map(|folder| format!(" --projects {folder} --also-make")).unwrap_or_default();
    let at = context.join(&folder);
    Ok(Some(Build {
        manifest: "pom.xml".to_owned(),
        reason: if wrapped { "Maven by its wrapper" } else { "Maven" },
        java,
        image: format!("maven:3.9-eclipse-temurin-{java}"),
        cache: "id=maven,target=/root/.m2",
        command: format!("{tool} --batch-mode --no-transfer-progress -DskipTests package{only}"),
        output: below(&folder, "target"),
        scope: Scope { context, parts: vec![at] },
    }))
}

fn by_gradle(project: Project<'_>) -> Result<Option<Build>, DetectError> {
    let Some(found) = gradle::find(project)? else { return Ok(None) };
    let said = ["JavaLanguageVersion.of(", "jvmToolchain(", "JavaVersion.VERSION_", "sourceCompatibility = "];
    let after = |word: &str| {
        let mut rests = found.texts.iter().filter_map(|text| text.split_once(word));
        rests.find_map(|(_, rest)| number(rest.trim_start_matches(['\'', '"'])))
    };
    let java = java(said.into_iter().find_map(after));
    let task = match found.module.is_all() {
        true => "bootJar".to_owned(),
        false => format!(":{}:bootJar", found.module.as_str().replace('/', ":")),
    };
    Ok(Some(Build {
        manifest: below(&found.module, found.script),
        reason: "Gradle by its wrapper",
        java,
        image: format!("eclipse-temurin:{java}-jdk"),
        // Gradle locks its caches against another one.
        cache: "id=gradle,target=/root/.gradle,sharing=locked",
        command: format!("sh ./gradlew --no-daemon --console=plain {task}"),
        output: below(&found.module, "build/libs"),
        scope: Scope { context: found.base, parts: found.parts },
    }))
}

fn below(folder: &RelativePath, path: &str) -> String {
    if folder.is_all() { path.to_owned() } else { format!("{folder}/{path}") }
}

/// The texts of XML elements of a name. A `pom.xml` is only looked at: who builds it reads it properly.
fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let open = format!("<{name}>");
    let pieces: Vec<&str> = xml.split(open.as_str()).skip(1).collect();
    pieces.into_iter().filter_map(|piece| Some(piece.split_once("</")?.0.trim()))
}

/// The number at the beginning, `1.8` being 8.
fn number(text: &str) -> Option<u8> {
    let text = text.strip_prefix("1.").or_else(|| text.strip_prefix("1_")).unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// The oldest long-term release that is new enough.
fn java(wanted: Option<u8>) -> u8 {
    let newest = LONG_TERM[LONG_TERM.len() - 1];
    wanted.map_or(JAVA, |wanted| LONG_TERM.into_iter().find(|release| *release >= wanted).unwrap_or(newest))
}
