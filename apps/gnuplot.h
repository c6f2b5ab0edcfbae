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

// 'text' as gnuplot reads it literally, on one line: what can't be printed becomes '?'.
std::string quoted(const std::string& text);

// The same for a label of an axis or a colour bar, in which gnuplot takes % for the start of a format.
std::string quoted_tic(const std::string& text);

// Has gnuplot draw a PNG file, whole or not at all: it is renamed from PNG.part when complete. The script finds text
// in UTF-8, taken literally (no "enhanced" markup). Returns false, having written nothing, where there is no gnuplot;
// throws when it does not write the file.
bool draw(const std::string& png, const Canvas& canvas, const GnuplotScript& script);

}  // namespace mixgrad::apps
