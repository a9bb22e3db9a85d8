//! Version 1 of the admissionregistration.k8s.io group: who else has a say in what is stored, by webhook or by policy.

mod binding;
mod expressions;
mod mutating_policy;
mod policy;
mod rules;
#[cfg(test)]
mod tests;
mod webhooks;
