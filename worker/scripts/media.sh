#!/usr/bin/env bash
# The programs that speech and videos need: ffmpeg, espeak-ng, flite, and fonts for captions.
#
#   media.sh         installs the Debian packages that are missing, if that is allowed
#   media.sh check   says what is missing, installs nothing
#
# Looks first: prints nothing and changes nothing when all is there.
set -euo pipefail

fail() {
    echo "media.sh: $*" >&2
    exit 1
}

missing=()
for need in ffmpeg:ffmpeg espeak-ng:espeak-ng flite:flite; do
    command -v "${need%%:*}" >/dev/null || missing+=("${need##*:}")
done
[[ -d /usr/share/fonts/truetype/dejavu ]] || missing+=(fonts-dejavu-core)
[[ -e /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf ]] || missing+=(fonts-noto-color-emoji)
((${#missing[@]})) || exit 0
[[ ${1:-} != check ]] || fail "missing: ${missing[*]}"

command -v apt-get >/dev/null || fail "install these with your package manager: ${missing[*]}"
as_root=()
if ((EUID != 0)); then
    sudo -n true 2>/dev/null || fail "not root and no sudo; ask for: apt-get install ${missing[*]}"
    as_root=(sudo)
fi
echo "media.sh: installing ${missing[*]}" >&2
"${as_root[@]}" sh -c '
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq -o DPkg::Lock::Timeout=120 update &&
        apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@"
' sh "${missing[@]}" >&2 || fail "apt-get failed; see above"
