// Pictures of a training run, drawn by gnuplot: each function writes one PNG file and returns true, or returns false,
// having written nothing, if gnuplot is not installed. Each throws when it can't write the file. The title at the top
// says which run it is; legends are below, where they cover nothing.
#pragma once

#include <string>
#include <vector>

#include "mixgrad.h"

namespace mixgrad::apps {

struct RunCurves {
  std::string name;                        // such as "mixup"
  std::vector<train::EpochRecord> epochs;  // metrics[0] is the accuracy
};

// Training loss, validation loss and accuracy of up to four runs over their epochs. Throws when there is no run, or one
// without epochs or accuracy. A non-finite loss is left out; the legend names curves of which nothing is left.
bool write_curves(const std::string& png, const std::vector<RunCurves>& runs, const std::string& title = "");

// The loss of a learning-rate range test over the rate, on a logarithmic axis, with the suggestion marked. Throws
// unless there are two points or more and the suggestion is positive.
bool write_lr_curve(const std::string& png, const train::LrCurve& curve, const std::string& title = "");

// The density of Beta(alpha, alpha), which t is drawn from, at x in (0, 1): x^(alpha-1) (1-x)^(alpha-1) / B(alpha,
// alpha). For alpha < 1 it has poles at 0 and 1.
double beta_density(double x, double alpha);

// The density f of t ~ Beta(alpha, alpha) over a histogram of area 1 of draws lambda. If options.dedupe is
// set, f is drawn on the left, and the draws below the density of max(t, 1-t): f(x) + f(1-x) = 2 f(x) on [0.5, 1].
// Throws unless alpha is in (0, 1e6], there is a draw, and all lambda in [0, 1] (with dedupe [0.5, 1]).
bool write_beta_density(const std::string& png, const augment::MixOptions& options, const std::vector<float>& lambda,
                        const std::string& title = "");

// A contact sheet: images in rows of four, each below its caption. images [N, H, W, C] in [0, 1]; three channels that
// differ in colour, otherwise channel 0, 1 as black. Throws unless there are 1 to 100 images of 2 to 1024 pixels a side
// and 16 megapixels in all, and as many captions.
bool write_image_grid(const std::string& png, const Tensor& images, const std::vector<std::string>& captions,
                      const std::string& title = "");

// "0.42"; where two digits would round it to 0 or 1, "< 0.01" or "> 0.99".
std::string probability_text(double probability);

// A heat map of counts, i32 [C, C] with C in 1..100: matrix[i, j] images of class i were predicted to be of class j.
// The colour is the share of row i on a logarithmic scale, so that single mistakes are visible beside thousands of
// hits. Throws on negative counts, or when there are not C class_names.
bool write_confusion_matrix(const std::string& png, const Tensor& matrix, const std::vector<std::string>& class_names,
                            const std::string& title = "");

}  // namespace mixgrad::apps
