#!/usr/bin/perl

# What is wrong with a declaration is said in one line.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Test;

my $t = Mesh::Test->new;


sub check {
    my ($inside, $name) = @_;

    $name //= 'p';

    return $t->check_conf(<<"CONF");
mesh {
    zone mesh:8m metrics=1m;
    protocol $name {
        $inside
    }
}

stream {
    server { listen 127.0.0.1:%%PORT_rpc%%; mesh_pass $name; }
}
CONF
}


sub refused {
    my ($message, $inside, $name) = @_;

    my ($status, $said) = check($inside, $name);
    my @lines = grep { /\[emerg\]/ } split /\n/, $said;

    isnt($status, 0, "refused: $inside");
    like($lines[0] // '', qr/\Q$message\E/, '... and why');
    is(scalar @lines, 1, '... in one line');
}


sub accepted {
    my ($inside, $name) = @_;

    my ($status, $said) = check($inside, $name);

    is($status, 0, "accepted: $inside");
    diag($said) if $status;
}


sub invalid {
    my ($value, $directive, $right) = @_;
    return qq{invalid value "$value" in "$directive" directive, it must be }
           . $right;
}


my $ok = 'length 0 4;';

accepted($ok);
accepted("$ok magic 4 0102 mask=ff0f; magic 8 ff;");
accepted("$ok id 4 8 little; kind 12 1 mask=0xc0 request=0x80,0xc0 "
         . 'response=0 oneway=64; status 13 1 ok=0,20; timeout 14 2 unit=s;');
accepted("$ok id 0 4 after=4:4:little; strings 8 varint; map after u16 u16le "
         . 'count=6:2; fact service nth 1; fact method key m; '
         . 'fact version const 1; fact app fixed 20 8; fact group string 9 u8;');
accepted('length 0 4 add=-4 for=request; length 4 4 for=response little;');
accepted("$ok id 4 4; error '{length} {id} 00{status:2}{text:u32}'; "
         . 'error_status default=1 timeout=7; max_frame 1m;');
accepted("$ok strings 8 lengths=4:2,6:2:little; map after u8 u8 size=7:1; "
         . 'fact service nth 1;');

# the block

refused('invalid protocol name "dubbo"', $ok, 'dubbo');
refused('invalid protocol name "bolt"', $ok, 'bolt');
refused('invalid protocol name "auto"', $ok, 'auto');
refused('duplicate protocol "p"', "$ok } protocol p { $ok");
refused('protocol "p" needs a "length" for requests and responses', '');
refused('protocol "p" needs a "length" for requests and responses',
        'length 0 4 for=request;');
refused('unknown directive "size"', "$ok size 1;");
refused('"protocol" directive is not allowed here', "$ok protocol q { }");

# fields

for my $d (qw(length id kind status timeout)) {
    refused(invalid('32', $d, 'an offset of 0 to 31'), "$d 32 4;");
    refused(invalid('x', $d, 'an offset of 0 to 31'), "$d x 4;");
    refused(invalid('0', $d, 'a size of 1 to 8 bytes'), "$d 0 0;");
    refused(invalid('9', $d, 'a size of 1 to 8 bytes'), "$d 0 9;");
    refused(invalid('4', $d, 'a field within the first 32 bytes'),
            "$d 30 4;");
    refused(qq{invalid value "big" in "$d" directive}, "$d 0 4 big;");
}

for my $d (qw(id kind status timeout strings map max_frame)) {
    next if $d eq 'max_frame';
    my $one = { id => 'id 4 4;', kind => 'kind 4 1 request=1 response=2;',
                status => 'status 4 1 ok=0;', timeout => 'timeout 4 4;',
                strings => 'strings 8 u8;', map => 'map 8 u8 u8;' }->{$d};
    refused(qq{"$d" directive is duplicate}, "$ok $one $one");
}

refused(invalid('32', 'magic', 'an offset of 0 to 31'), "$ok magic 32 00;");
refused(invalid('0g', 'magic', 'hexadecimal bytes'), "$ok magic 0 0g;");
refused(invalid('000', 'magic', 'hexadecimal bytes'), "$ok magic 0 000;");
refused(invalid('0102', 'magic', 'hexadecimal bytes'), "$ok magic 31 0102;");
refused(invalid('mask=ff', 'magic', '"mask="'), "$ok magic 0 0102 mask=ff;");

refused(invalid('add=x', 'length', '"add="'), 'length 0 4 add=x;');
refused(invalid('add=70000', 'length', '"add="'), 'length 0 4 add=70000;');
refused(invalid('for=both', 'length', 'little, add=, for=request'),
        'length 0 4 for=both;');

refused(invalid('2', 'id', 'at least 3 bytes'), "$ok id 4 2;");
refused(invalid('after=x', 'id', 'little or after='), "$ok id 0 4 after=x;");
refused(invalid('after=30:4', 'id', 'little or after='),
        "$ok id 0 4 after=30:4;");

refused('has a "kind" without "request=" and "response="',
        "$ok kind 4 1 request=1;");
refused(invalid('foo=1', 'kind', 'mask=, request='), "$ok kind 4 1 foo=1;");
refused(invalid('request=', 'kind', 'mask=, request='),
        "$ok kind 4 1 request=;");
refused(invalid('request=1,', 'kind', 'mask=, request='),
        "$ok kind 4 1 request=1,;");
refused('duplicate value in "response=2,1"',
        "$ok kind 4 1 request=1 response=2,1;");
refused('the value 0x1 in "kind" never comes, the field and its mask have the '
        . 'bits 0x80', "$ok kind 4 1 mask=0x80 request=0x80 response=1;");
refused('the value 0x100 in "kind" never comes',
        "$ok kind 4 1 request=0x100 response=1;");
refused('has a "kind" of heartbeats and no "heartbeat_answer"',
        "$ok kind 4 1 request=1 response=2 heartbeat=3;");
refused('has a "heartbeat" and no "kind ... heartbeat_answer="',
        "$ok kind 4 1 request=1 response=2; heartbeat '00';");

refused('"status" directive needs "ok="', "$ok status 4 1;");
refused(invalid('ok=x', 'status', 'little, or ok='), "$ok status 4 1 ok=x;");
refused(invalid('unit=m', 'timeout', 'little, unit=ms'),
        "$ok timeout 4 4 unit=m;");
refused(invalid('31', 'max_frame', 'a size of 32 bytes'), "$ok max_frame 31;");

# bodies

refused(invalid('70000', 'strings', 'an offset of 0 to 65535'),
        "$ok strings 70000 u8;");
refused(invalid('u9', 'strings', 'u8, u16, u32'), "$ok strings 8 u9;");
refused(invalid('lengths=1', 'strings', '"lengths=" and OFFSET:SIZE'),
        "$ok strings 8 lengths=1;");
refused(invalid('count=0', 'strings', '"count=" and 1 to 256'),
        "$ok strings 8 u8 count=0;");
refused(invalid('u9', 'map', 'u8, u16, u32'), "$ok map 8 u9 u8;");
refused(invalid('u9', 'map', 'u8, u16, u32'), "$ok map 8 u8 u9;");
refused(invalid('size=4', 'map', '"size=" or "count="'),
        "$ok map 8 u8 u8 size=4;");
refused('has a "map after" and no "strings"', "$ok map after u8 u8;");

refused(invalid('name', 'fact', 'service, method, version, group or app'),
        "$ok fact name const x;");
refused('"fact" directive is duplicate for this fact',
        "$ok fact service const a; fact service const b;");
refused(invalid('somewhere', 'fact', 'const TEXT, fixed OFFSET LENGTH'),
        "$ok fact service somewhere 1;");
refused(invalid('const', 'fact', 'const TEXT, fixed OFFSET LENGTH'),
        "$ok fact service const a b;");
refused(invalid('256', 'fact', 'a number of 0 to 255'),
        "$ok strings 8 u8; fact service nth 256;");
refused(invalid('u7', 'fact', 'u8, u16, u32'),
        "$ok fact service string 8 u7;");
refused('has a fact of "nth" and no "strings"', "$ok fact service nth 0;");
refused('has a fact of "nth" beyond the last of "lengths="',
        "$ok strings 8 lengths=4:2; fact service nth 1;");
refused('has a fact of "key" and no "map"', "$ok fact service key s;");

# an id is written, so nothing else may be there

refused('"id" of protocol "p" has bytes 2 to 5, where its "length" is too',
        "$ok id 2 4;");
refused('"id" of protocol "p" has bytes 4 to 11, where its "magic" is too',
        "$ok magic 10 0102; id 4 8;");
refused('"id" of protocol "p" has bytes 4 to 7, where its "kind" is too',
        "$ok id 4 4; kind 7 1 request=1 response=2;");
refused('"id" of protocol "p" has bytes 4 to 7, where its "status" is too',
        "$ok id 4 4; status 6 2 ok=0;");
refused('"id" of protocol "p" has bytes 4 to 7, where its "timeout" is too',
        "$ok id 4 4; timeout 0 8;");
accepted("$ok id 4 4; kind 8 1 request=1 response=2; status 9 1 ok=0; "
         . "magic 10 00;");

# frames of ours

for my $template ("'0'", "'0x00'", "'{id'", "'{name}'", "'{status:9}'",
                  "'{text:u9}'", "''")
{
    my $value = substr $template, 1, -1;
    refused(invalid($value, 'error', 'hexadecimal bytes with {id}'),
            "$ok id 4 4; error $template;");
}

refused('"error" of protocol "p" has no {id}', "$ok id 4 4; error '0000';");
refused('"error" of protocol "p" has {id} at 2, it must be at 4',
        "$ok id 4 4; error '0000{id}';");
refused('"error" of protocol "p" has {length} where no "length" is declared',
        "$ok id 4 4; error '00{length}{id}';");
refused('"heartbeat" of protocol "p" has {text}, which only an "error" has',
        "$ok kind 4 1 request=1 response=2 heartbeat_answer=3; "
        . "heartbeat '{text:u8}';");
refused('"error" of protocol "p" is too long, it may have 256 bytes',
        "$ok error '" . '00' x 257 . "';");
accepted("$ok error '" . '00' x 256 . "';");
refused('"error" of protocol "p" is too long, it may have 256 bytes',
        "$ok error '" . '00' x 252 . "{text:u32}';");
refused('"error" of protocol "p" is too long, it may have 256 bytes',
        "$ok error '" . '{text:u8}' x 4 . "';");
refused('"error" directive is duplicate', "$ok error '00'; error '00';");
refused(invalid('slow=1', 'error_status', '"default=", which comes first'),
        "$ok error_status slow=1;");
refused(invalid('timeout=70000', 'error_status', 'NAME=NUMBER'),
        "$ok error_status timeout=70000;");

$t->done;
