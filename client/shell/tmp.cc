namespace gyre { int tmp_anchor; }
