namespace java kit

exception Refused {
    1: string why
}

service Kit {
    string echo(1: string text),
    i64 add(1: i32 a, 2: i64 b),
    string slow(1: string text, 2: i32 ms),
    string refuse(1: string why) throws (1: Refused refused),
    string fail(1: string why),
    oneway void note(1: string text),
    i32 notes()
}
