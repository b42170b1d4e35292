//! Cases in order: groups, sections, and the ids that follow from it.

use crate::case::Case;

/// The cases of one topic, in sections: a case has the id `group.section.case`.
///
/// New ones go to the end of their section, so that the ids of the others stay.
pub(crate) struct Group {
    pub(crate) number: usize,
    pub(crate) topic: &'static str,
    pub(crate) sections: Vec<Section>,
}

/// Cases that have something in common.
pub(crate) struct Section {
    pub(crate) topic: String,
    pub(crate) cases: Vec<Case>,
}

impl Group {
    pub(crate) fn new(number: usize, topic: &'static str, fill: fn(&mut Group)) -> Self {
        let mut group = Self { number, topic, sections: Vec::new() };
        fill(&mut group);
        group
    }

    pub(crate) fn cases(&self) -> impl Iterator<Item = &Case> {
        self.sections.iter().flat_map(|section| &section.cases)
    }

    /// What the cases that follow have in common.
    pub(crate) fn section(&mut self, topic: impl Into<String>) {
        self.sections.push(Section { topic: topic.into(), cases: Vec::new() });
    }

    pub(crate) fn case(&mut self, name: impl Into<String>, script: impl FnOnce(Case) -> Case) {
        let (number, in_group) = (self.number, self.sections.len());
        let section = self.sections.last_mut().expect("a case belongs to a section");
        let id = format!("{number}.{in_group}.{}", section.cases.len() + 1);
        section.cases.push(script(Case::new(id, name.into())));
    }
}
