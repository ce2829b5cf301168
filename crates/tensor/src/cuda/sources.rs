//! The kernels' sources, as they are compiled: by NVRTC for a card, by a C++ compiler for the host.

/// What every source begins with.
pub(super) const COMMON: &str = include_str!("kernels/common.cuh");

/// A file of kernels.
pub(super) struct Source {
    /// Its name, as compilers say it.
    pub(super) name: &'static str,
    /// Files that come before it.
    headers: &'static [(&'static str, &'static str)],
    text: &'static str,
}

macro_rules! sources {
    ($($name:literal $(after $($header:literal)+)?),* $(,)?) => {
        [$(Source {
            name: $name,
            headers: &[$($(($header, include_str!(concat!("kernels/", $header)))),+)?],
            text: include_str!(concat!("kernels/", $name)),
        }),*]
    };
}

/// All of them.
pub(super) static SOURCES: [Source; 12] = sources![
    "attention.cu" after "attention.cuh",
    "attention_back_bf16.cu" after "tensor_cores.cuh" "attention.cuh" "attention_bf16.cuh",
    "attention_bf16.cu" after "tensor_cores.cuh" "attention.cuh" "attention_bf16.cuh",
    "cached.cu",
    "choose.cu",
    "cross_entropy.cu",
    "elementwise.cu" after "activation.cuh",
    "matmul.cu" after "activation.cuh",
    "norm.cu",
    "optimizers.cu",
    "rows.cu",
    "whole_numbers.cu" after "activation.cuh" "tensor_cores.cuh",
];

impl Source {
    /// The whole text.
    pub(super) fn text(&self) -> String {
        let files = [("common.cuh", COMMON)].into_iter().chain(self.headers.iter().copied());
        let all = files.chain([(self.name, self.text)]);
        all.map(|(name, text)| format!("#line 1 \"{name}\"\n{text}\n")).collect()
    }

    /// The kernels in it.
    pub(super) fn kernels(&self) -> impl Iterator<Item = &'static str> {
        self.text
            .lines()
            .filter_map(|line| line.strip_prefix("KERNEL ")?.split_once('(').map(|(name, _)| name))
    }

    /// The file with a kernel. Panics where there is none.
    pub(super) fn of(kernel: &str) -> &'static Source {
        let has = |source: &&Source| source.kernels().any(|name| name == kernel);
        SOURCES.iter().find(has).unwrap_or_else(|| panic!("no kernel {kernel}"))
    }
}
