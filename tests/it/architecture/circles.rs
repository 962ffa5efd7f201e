//! No files import each other in a circle, so that each can be read after those that it imports.

use std::collections::{BTreeMap, BTreeSet};

use super::Source;

/// The path of a module, such as `http`, `view`.
type Module = Vec<String>;

/// The module that the file is.
fn module_of(source: &Source) -> Module {
    let path = source.path.strip_prefix("src").unwrap().with_extension("");
    let mut names: Module = path.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    if ["mod", "lib", "main"].contains(&names.last().unwrap().as_str()) {
        names.pop();
    }
    names
}

/// The full paths of a `use`, its braces opened up.
fn opened(import: &str) -> Vec<String> {
    let Some((head, list)) = import.split_once('{') else {
        let path = import.split(" as ").next().unwrap();
        return vec![path.trim().to_owned()];
    };
    // A line of a text can begin with that word too.
    let Some(list) = list.trim_end().strip_suffix('}') else { return Vec::new() };
    let mut depth = 0;
    let parts = list.split(|letter| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        letter == ',' && depth == 0
    });
    let parts = parts.filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| opened(&format!("{}{}", head.trim(), part.trim()))).collect()
}

/// What the file imports, and whether it hands that on.
fn imports(source: &Source) -> Vec<(bool, Vec<String>)> {
    let code = source.code();
    let statements = code.split(';').filter_map(|statement| {
        let words = ["use ", "pub use ", "pub(super) use ", "pub(crate) use "];
        let is_import = |line: &&str| words.iter().any(|word| line.trim_start().starts_with(word));
        let line = statement.lines().find(is_import)?;
        let (before, import) = statement[statement.find(line)?..].split_once("use ")?;
        Some((before.trim().starts_with("pub"), import))
    });
    let paths = statements.flat_map(|(is_public, import)| {
        let paths = opened(&import.replace('\n', " "));
        paths.into_iter().map(move |path| (is_public, path))
    });
    paths
        .map(|(is_public, path)| (is_public, path.split("::").map(str::to_owned).collect()))
        .collect()
}

/// The path from the crate's root, if it is one of ours.
fn absolute(module: &Module, path: &[String], modules: &BTreeSet<Module>) -> Option<Module> {
    let supers = path.iter().take_while(|name| *name == "super").count();
    let (mut base, rest) = match path[0].as_str() {
        "crate" => (Module::new(), &path[1..]),
        "self" => (module.clone(), &path[1..]),
        "super" => (module[..module.len().checked_sub(supers)?].to_vec(), &path[supers..]),
        first => {
            let child = [module.as_slice(), &[first.to_owned()]].concat();
            modules.contains(&child).then(|| (module.clone(), path))?
        }
    };
    base.extend_from_slice(rest);
    Some(base)
}

/// The module that defines what `path` names: what a module hands on is not its own.
fn definer(
    path: &Module,
    modules: &BTreeSet<Module>,
    handed_on: &BTreeMap<Module, Module>,
) -> Module {
    let mut path = path.clone();
    while let Some(origin) = handed_on.get(&path) {
        path = origin.clone();
    }
    while !modules.contains(&path) {
        path.pop();
    }
    path
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = Source::all("src", "rs");
    let sources: Vec<_> = sources.iter().filter(|source| !source.is_of_tests()).collect();
    let modules: BTreeSet<Module> = sources.iter().map(|source| module_of(source)).collect();
    let mut handed_on = BTreeMap::new();
    let mut named: BTreeMap<Module, Vec<Module>> = BTreeMap::new();
    for source in &sources {
        let module = module_of(source);
        for (is_public, path) in imports(source) {
            let Some(full) = absolute(&module, &path, &modules) else { continue };
            if is_public && let Some(name) = full.last() {
                handed_on
                    .insert([module.as_slice(), std::slice::from_ref(name)].concat(), full.clone());
            }
            named.entry(module.clone()).or_default().push(full);
        }
    }
    let mut arrows: BTreeMap<Module, BTreeSet<Module>> = named
        .iter()
        .map(|(module, paths)| {
            let to = paths.iter().map(|path| definer(path, &modules, &handed_on));
            // A module names its children to declare them and to hand on what they define.
            (module.clone(), to.filter(|to| !to.starts_with(module)).collect())
        })
        .collect();

    // Files that import nothing that is left are in no circle.
    loop {
        let left: BTreeSet<Module> = arrows.keys().cloned().collect();
        arrows.values_mut().for_each(|to| to.retain(|to| left.contains(to)));
        let before = arrows.len();
        arrows.retain(|_, to| !to.is_empty());
        if arrows.len() == before {
            break;
        }
    }
    // And those that no file of a circle imports are above all circles.
    loop {
        let imported: BTreeSet<Module> = arrows.values().flatten().cloned().collect();
        let before = arrows.len();
        arrows.retain(|module, _| imported.contains(module));
        if arrows.len() == before {
            break;
        }
    }

    assert!(named.len() > 100, "the imports of {} files were read", named.len());
    assert!(arrows.is_empty(), "{arrows:#?}");
}
