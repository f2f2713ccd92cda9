"""The lines of curl.sh once more, as the test of the tasks runs them, with what else may be set."""

from pathlib import Path

from tests.support.up import check_curl, running


def test_each_curl_line_gets_its_status_with_the_preview(tmp_path: Path) -> None:
    """While the app uses the 2021 preview API, and without the role for an archive with versions."""
    with running(tmp_path, "--api", "2021", "--versions", "--no-role") as folder:
        check_curl((folder / "curl.sh").read_text(), tmp_path, left="AuthorizationPermissionMismatch")
