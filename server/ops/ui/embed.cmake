# Writes the files of the dashboard into one source, as ui_assets.h declares them:
#
#   cmake -D OUT=ui_assets.cc -D DIR=server/ops/ui -P embed.cmake
#
# A file's ETag is the beginning of its hash, so that it changes with the file and with nothing else.
set(rows "")
foreach(asset "/ui|page.html|text/html" "/ui/style.css|style.css|text/css" "/ui/app.js|app.js|text/javascript")
  string(REPLACE "|" ";" asset "${asset}")
  list(GET asset 0 path)
  list(GET asset 1 name)
  list(GET asset 2 type)
  file(READ "${DIR}/${name}" content)
  file(SHA256 "${DIR}/${name}" hash)
  string(SUBSTRING "${hash}" 0 16 tag)
  string(FIND "${content}" ")gyre_ui\"" end)
  if(NOT end EQUAL -1)
    message(FATAL_ERROR "${name} holds what ends it in the source that is made of it: )gyre_ui\"")
  endif()
  string(APPEND rows "    {\"${path}\", \"${type}; charset=utf-8\", \"\\\"${tag}\\\"\", R\"gyre_ui(${content})gyre_ui\"},\n")
endforeach()
file(WRITE "${OUT}" "#include \"ops/ui_assets.h\"

namespace gyre {

std::span<const UiAsset> UiAssets() {
  static constexpr UiAsset kAssets[] = {
${rows}  };
  return kAssets;
}

}  // namespace gyre
")
