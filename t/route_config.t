#!/usr/bin/perl

# route {}: what is accepted, what is refused and with which words.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Mesh::Test;

my $t = Mesh::Test->new(timeout => 120);


# words, what follows "mesh {": the line with the mark is the one to be named

sub refused {
    my ($words, $routes) = @_;

    my ($status, $said) = $t->check_conf("mesh {\n$routes\n}\n");
    my @lines = split /\n/, $t->read_file('check.conf');
    my ($line) = grep { $lines[$_ - 1] =~ /#!/ } 1 .. @lines;

    my ($got) = $said =~ /\[emerg\] (?:\d+#\d+: )?(.*)/;

    is($got // $said, "$words in " . $t->dir . "/check.conf:$line",
       "refused: $words");
    isnt($status, 0, '... with a status') if $status == 0;
}


sub inside { refused($_[0], "route r {\n    $_[1] #!\n}") }
sub whole { refused($_[0], "route r {\n    $_[1]\n} #!") }


sub accepted {
    my ($name, $routes) = @_;

    my ($status, $said) = $t->check_conf("mesh {\n$routes\n}\n");

    is($status, 0, "accepted: $name") or diag($said);
}


sub invalid {
    return qq{invalid value "$_[0]" in "$_[1]" directive, it must be $_[2]};
}


# the block

accepted('nothing in it', 'route r { }');
accepted('priorities', 'route a priority=5 { } route b priority=-5 { }');
refused('duplicate route "r"', "route r { } route r { #!\n}");

my $many = join '', map { "route r$_ { }\n" } 1 .. 300;

accepted('many routes', $many);
refused(qq{duplicate route "r$_"}, "${many}route r$_ { #!\n}") for 1, 64, 300;
refused('route "a b": spaces and control characters are not allowed in the '
        . 'name "a b"', "route \"a b\" { #!\n}");
refused('route "": the name must have 1 to 255 bytes', "route \"\" { #!\n}");
refused(invalid('5', 'route', 'priority=NUMBER'), "route r 5 { #!\n}");
refused(invalid("priority=$_", 'route', 'a number from -1000000000 to '
                . '1000000000, 0 is the default'),
        "route r priority=$_ { #!\n}") for '', 'x', '-', '1000000001';
refused('"match" directive is not allowed here', 'match a=b; #!');
inside('unknown directive "foo"', 'foo;');
inside('"endpoint" directive is not allowed here', 'endpoint 127.0.0.1:1;');

# match

accepted('conditions', <<'ROUTES');
route r {
    match service=com.example.* method=a method=b method=~^c !version;
    match "attachment.x=~^(a|b){2}$" attachment.dubbo.tag=gray !attachment.y;
    match caller=10.0.0.0/8 caller=::1 caller=unix: app=shop group=*;
    match percent=0.01 by=attachment.user;
    match percent=50;
    match listener=127.0.0.1:1 protocol=bolt interface=*Service version==*;
}
ROUTES

my $facts = 'FACT=VALUE, !FACT or percent=NUMBER, where FACT is protocol, '
            . 'service, interface, method, version, group, caller, app, '
            . 'listener or attachment.NAME';

inside(invalid($_, 'match', $facts), "match $_;")
    for 'service', 'host=a', '!', '!host', 'attachment.=a', '=a';
inside(invalid('', 'match', $facts), 'match "";');
inside(invalid('method=', 'match', 'a value; "*" stands for any'),
       'match method=;');

my $star = 'a text with one "*" at its beginning or end; "=" before it takes '
           . 'it as it is';

inside(invalid($_, 'match', $star), "match $_;")
    for 'method=a*b', 'method=*a*', 'method=**';
inside(invalid('method=~', 'match', 'an expression behind the "~"'),
       'match method=~;');
inside(invalid($_, 'match', 'an address, a network as "10.0.0.0/8" or '
               . '"unix:"'), "match $_;")
    for 'caller=a', 'caller=10.0.0.0/33', 'caller=10.*';
inside(invalid("percent=$_", 'match', 'a number from 0 to 100 with at most '
               . 'two decimals'), "match percent=$_;")
    for '', 'x', '101', '-1', '0.001';
inside(invalid('by=host', 'match', 'by=FACT'), 'match percent=5 by=host;');
inside(invalid('by=app', 'match', 'together with percent=NUMBER'),
       'match method=a by=app;');

{
    my ($status, $said) = $t->check_conf("mesh {\nroute r {\n"
                                         . "match method=~a(b;\n}\n}\n");
    like($said, qr/\[emerg\].*route "r": pcre2?_compile\(\) failed: .* in "a\(b"/,
         'an expression that is none');
    isnt($status, 0, '... is refused');
}

# to

accepted('targets', <<'ROUTES');
route a { to label=v=2 weight=5 fallback=any; to label=v=1 label=zone=x; }
route b { to service=g/com.example.X:1 fallback=service=com.example.Y; }
route c { to label=v=2 fallback=label=v=1 fallback=label=zone=; }
route d { to label=v=2 weight=0 fallback=none; to label=v=; }
route e { to service=a:2 rewrite=version; to service=b rewrite=group; }
route f { to service=a:2 rewrite=version,group; }
ROUTES

my $to = 'service=NAME, label=KEY=VALUE, weight=, rewrite=, fallback=any, '
         . 'fallback=none, fallback=service=NAME or fallback=label=KEY=VALUE';

inside(invalid($_, 'to', $to), "to $_;")
    for 'com.example.X', 'service=', 'label=v', 'label==v', 'fallback=x',
        'fallback=label=v', 'fallback=';
inside(invalid('service=b', 'to', 'one service only'),
       'to service=a service=b;');
inside(invalid("weight=$_", 'to', 'a number from 0 to 1000000'),
       "to label=v=1 weight=$_;") for '', 'x', '-1', '1000001';
inside(invalid("rewrite=$_", 'to', 'version, group or version,group'),
       "to service=a rewrite=$_;") for '', 'x', 'version,';
whole('route "r": there is nothing to rewrite without another service',
      'to label=v=1 rewrite=version;');
whole('route "r": one target at least must have a weight',
      'to label=v=1 weight=0;');
whole('route "r": a label can have one value only',
      'to label=v=1 label=v=2;');
whole('route "r": spaces, control characters and "*" are not allowed in the '
      . 'service', 'to service=a*;');
whole('route "r": the service must be [GROUP/]INTERFACE[:VERSION]',
      'to service=g/;');
whole('route "r": "any" endpoint is no fallback of a target without labels',
      'to service=a fallback=any;');

# the rest

accepted('other actions', <<'ROUTES');
route a { timeout 200ms; tries 2; hash attachment.user; }
route b { deny; }
route c { deny "not today"; }
route d { set dubbo.tag gray; set empty ""; remove a b; }
ROUTES

inside(invalid($_, 'timeout', 'a time as "200ms"'), "timeout $_;")
    for '0', 'x', '-1s', '30d';
inside(invalid($_, 'tries', 'a number from 1 to 1000'), "tries $_;")
    for '0', 'x', '1001';
inside(invalid('user', 'hash', 'protocol, service, interface, method, '
               . 'version, group, caller, app, listener or attachment.NAME'),
       'hash user;');
inside(qq{"$_->[0]" directive is duplicate}, "$_->[1] $_->[1]")
    for [ 'timeout', 'timeout 1s;' ], [ 'tries', 'tries 1;' ],
        [ 'hash', 'hash app;' ], [ 'deny', 'deny;' ];
whole('route "r": attachment "a" is set already', $_)
    for 'set a 1; set a 2;', 'set a 1; remove b a;';
whole('route "r": an attachment must have a name', $_)
    for 'set "" 1;', 'remove "";';
inside('invalid number of arguments in "set" directive', 'set a;');
whole('route "r": what is denied goes nowhere: "deny" takes no other action '
      . 'beside it', "deny; $_")
    for 'timeout 1s;', 'to service=a;', 'tries 2;', 'hash app;', 'set a 1;',
        'remove a;';

# expressions are of the cycle: it may go, with all that it compiled

$t->write_conf("pcre_jit on;\nmesh { route r { match method=~a; } }\n"
               . "stream { server { listen 127.0.0.1:%%PORT_rpc%%;\n"
               . "mesh_pass dubbo; } }\n");
$t->run;
ok($t->reload, "a reload ($_)") for 1 .. 2;

$t->done;
