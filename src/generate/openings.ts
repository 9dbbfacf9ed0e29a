/**
 * "Here is a passage to answer the question:" and its relatives, as the published evaluation lists them: with or
 * without "possible" or "potential", with or without what the passage is for, about "the" or "your" question.
 */
const OPENING =
  /\bhere(?: is|['’]s) (?:a|the)(?: possible| potential)? passage(?: (?:to answer|that answers|answering|that attempts to answer) (?:the|your) question)?:/i;

/**
 * Cuts the boilerplate with which a chat model introduces a passage: everything up to and with the first opening that
 * occurs. White space at both ends goes too. A text without an opening is otherwise left as it is.
 */
export function cutOpening(text: string): string {
  const found = OPENING.exec(text);
  return (found === null ? text : text.slice(found.index + found[0].length)).trim();
}
