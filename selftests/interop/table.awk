# SPDX-License-Identifier: GPL-2.0
# awk -f table.awk TAP: a line of a Markdown table for each chapter of a test's output, for Documentation/interoperability.md.

function flush() {
	if (chapter != "" && good + bad)
		printf "| %s | %s |\n", chapter, bad ? bad " of " good + bad " failed" : good " of " good " held"
	good = bad = 0
}
{ gsub(/\033\[[0-9;]*m/, "") }
/^# [^ ]/ { flush(); chapter = substr($0, 3) }
/^ok / { good++ }
/^not ok / { bad++ }
END { flush() }
