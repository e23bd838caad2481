//! Which crate uses which: the arrows of the architecture, and the doors to outside libraries.

use crate::check::Findings;
use crate::repository::Package;

/// A row of a table: a name and the names that belong to it.
pub(crate) type Row<'a> = (&'a str, &'a [&'a str]);

/// Compares what the packages use with the tables of the house.
pub(crate) fn check(packages: &[Package], arrows: &[Row<'_>], doors: &[Row<'_>]) -> Findings {
    let mut findings = Findings::default();
    let mut drawn = 0;
    for package in packages {
        let Some((_, allowed)) = arrows.iter().find(|(name, _)| *name == package.name) else {
            findings.problem(format!(
                "{}: no row in ARROWS of xtask/src/house.rs says what it may use",
                package.name
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            if packages.iter().any(|other| other.name == name) {
                drawn += 1;
                if !allowed.contains(&name) {
                    findings.problem(format!("{} → {name} is not an arrow", package.name));
                }
            }
            let door = doors.iter().find(|(library, _)| *library == name);
            if let Some((_, through)) = door
                && !dependency.tests_only
                && !through.contains(&package.name.as_str())
            {
                findings.problem(format!(
                    "{} uses {name}, whose only door is {}",
                    package.name,
                    through.join(" and ")
                ));
            }
        }
    }
    findings.summary(format!("{} crates, {drawn} arrows", packages.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::Dependency;

    const ARROWS: &[Row<'_>] = &[("low", &[]), ("high", &["low"])];
    const DOORS: &[Row<'_>] = &[("sqlite", &["low"])];

    fn package(name: &str, uses: &[(&str, bool)]) -> Package {
        let dependency = |(name, tests_only): &(&str, bool)| Dependency {
            name: (*name).to_owned(),
            tests_only: *tests_only,
        };
        Package {
            name: name.to_owned(),
            description: String::new(),
            folder: format!("crates/{name}"),
            dependencies: uses.iter().map(dependency).collect(),
        }
    }

    #[test]
    fn drawn_arrows_and_open_doors_pass() {
        let packages = [
            package("low", &[("sqlite", false), ("serde", false)]),
            package("high", &[("low", false), ("sqlite", true)]),
        ];
        let findings = check(&packages, ARROWS, DOORS);
        assert!(findings.problems().is_empty());
        assert_eq!(findings.text(), "2 crates, 1 arrows");
    }

    #[test]
    fn any_other_arrow_fails_even_in_tests() {
        let packages = [package("low", &[("high", true)]), package("high", &[])];
        let findings = check(&packages, ARROWS, DOORS);
        assert_eq!(findings.problems(), ["low → high is not an arrow"]);
    }

    #[test]
    fn another_door_fails() {
        let findings = check(&[package("high", &[("sqlite", false)])], ARROWS, DOORS);
        assert_eq!(findings.problems(), ["high uses sqlite, whose only door is low"]);
    }

    #[test]
    fn an_unknown_crate_fails() {
        let findings = check(&[package("shed", &[])], ARROWS, DOORS);
        assert_eq!(findings.problems().len(), 1);
    }
}
