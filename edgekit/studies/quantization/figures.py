"""The figures of 03_quantization."""

from __future__ import annotations

from edgekit.analyze import losses
from edgekit.plots.figure import Figure
from edgekit.plots.intervals import AGAIN
from edgekit.studies.quantization import drawings, drawings_speed, tables, tables_speed

FIGURES = (
    Figure("quantization_frontier", lambda frame: (losses.loss_table(frame),), drawings.quantization_frontier,
           "divergences from the unquantized model",
           "KL divergence from the unquantized model on all evaluation texts, against stored bits, by method, a panel a "
           "model. Scales, zero points and unquantized tensors are counted. Bars: 95 % intervals over calibration seeds, "
           f"or over texts where a method has none; marks of the same bits are set a little apart. {AGAIN}"),
    Figure("quantization_lead", lambda frame: (tables.main_leads(frame), tables.lead_seeds(frame)), drawings.quantization_lead,
           "perplexities of one model by AWQ and by GPTQ",
           "Lead of AWQ over GPTQ (perplexity of GPTQ over that of AWQ, less one) at equal bits, group and calibration, "
           "paired by calibration seed and text: right of zero AWQ is better. Filled, with the single seeds as ticks: 95 "
           "% interval over seeds; open: one seed, interval over texts. Models from the smallest; green: what S1.5 "
           "accepts."),
    Figure("quantization_accuracy", lambda frame: (losses.accuracy_table(frame),), drawings.quantization_accuracy, "answers",
           "Accuracy kept of the unquantized model's (dashed) on the same problems, by bits of a code and by method, "
           "with 95 % intervals over problems. Marks of one method and width are its groups or types, the largest file "
           f"first. Green: what S2.2 accepts of AWQ at 4 bits. {AGAIN}"),
    Figure("quantization_calibration", lambda frame: (tables.ablation_table(frame),), drawings.quantization_calibration,
           "calibrations that were varied",
           "KL divergence of AWQ and GPTQ at 4 bits with other calibration texts, other numbers of them, or parts of the "
           "search left out, each against the main calibration (dotted), with 95 % intervals over calibration seeds. "
           f"{AGAIN}"),
    Figure("quantization_speed", lambda frame: (tables_speed.gain_table(frame),), drawings_speed.quantization_speed,
           "decode times of quantized and of 16-bit weights in one runtime",
           "Decode speed of quantized weights over 16-bit weights in the same runtime, paired by repeat, with 95 % "
           "t-intervals. Black marks: the ratio of their bytes, which is the gain if reading weights were all that a "
           "step does. Green: what S3.7 accepts of 4-bit weights with 16-bit activations (awq and gptq; llama_cpp has "
           f"activations in 8 bits). {AGAIN}"),
)
