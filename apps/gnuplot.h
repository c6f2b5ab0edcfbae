// The pipe to gnuplot, an optional program that draws the pictures (Debian package gnuplot-nox).
#pragma once

#include <string>

#include "core/check.h"

namespace mixgrad::apps {

struct Canvas {
  int width, height;  // pixels
  int font_size;      // points
};

// Commands in gnuplot's language, written with <<.
using GnuplotScript = TextStream;

// 'text' as a literal for gnuplot, on one line: what can't be printed becomes '?'.
std::string quoted(const std::string& text);

// The same for a tic label of an axis or a colour bar, in which % starts a format.
std::string quoted_tic(const std::string& text);

// Lets gnuplot draw a PNG file, whole or not at all: it is renamed from PNG.part when complete. Text in the script is
// UTF-8 and literal (no "enhanced" markup). Returns false, having written nothing, if gnuplot is not installed; throws
// when it does not write the file.
bool draw(const std::string& png, const Canvas& canvas, const GnuplotScript& script);

}  // namespace mixgrad::apps
