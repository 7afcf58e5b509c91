"""The figures of 03_quantization."""

from __future__ import annotations

from edgekit.analyze import losses
from edgekit.plots.figure import Figure
from edgekit.studies.quantization import drawings, tables, tables_speed

FIGURES = (
    Figure("quantization_frontier", lambda frame: (
        {domain: losses.loss_table(frame, domain) for domain in losses.domains(frame)},),
           drawings.quantization_frontier, "divergences from the unquantized model",
           "KL divergence from the unquantized model against stored bits, by method, a row a model, a column a kind "
           "of text. Scales, zero points and unquantized tensors are counted; bars are 95 % intervals over "
           "calibration seeds, or over texts where a method has none; marks of the same bits are set a little apart."),
    Figure("quantization_accuracy", lambda frame: (losses.accuracy_table(frame),), drawings.quantization_accuracy, "answers",
           "Share of right answers against stored bits, by method, with 95 % intervals over items; dashed, with its "
           "band: the unquantized model on the same items."),
    Figure("quantization_calibration", lambda frame: (tables.ablation_table(frame),), drawings.quantization_calibration,
           "calibrations that were varied",
           "KL divergence of AWQ and GPTQ at 4 bits with other calibration texts, other numbers of them, or parts of "
           "the search left out, each against the main calibration (dotted), with 95 % intervals over calibration "
           "seeds."),
    Figure("quantization_speed", lambda frame: (tables_speed.runtime_table(frame),), drawings.quantization_speed,
           "decode times",
           "Decode speed over transformers in bfloat16, paired by repeat, with 95 % t-intervals; black marks: what "
           "reading the same bytes at the measured bandwidth would give."),
)
