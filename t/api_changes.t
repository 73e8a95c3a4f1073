#!/usr/bin/perl

# Thousands of changes at once: each is told once, to streams and to polls,
# also to those that watch some of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use JSON::PP;
use Test::More;

use Mesh::Api;
use Mesh::Test;

my $N = 3000;

my $t = Mesh::Test->new;

$t->write_conf(api_conf(
    service => 'endpoint 127.0.0.1:1;', zone => '16m',
    location => 'client_max_body_size 10m;'));
$t->run;

my $from = api($t, 'GET', '')->{json}{revision};

sub start {
    my ($args, $lines) = @_;

    my $s = $t->tcp('http')->socket;
    syswrite $s, "GET /api/1/watch?since=$from&wait=20s$args HTTP/1.0\r\n"
                 . "Host: a\r\n"
                 . ($lines ? "Accept: application/x-ndjson\r\n" : '') . "\r\n";

    return $s;
}

sub told {
    my ($s, $until) = @_;
    my $got = '';

    while ($got !~ $until) {
        IO::Select->new($s)->can_read(20) or last;
        sysread $s, $got, 65536, length $got or last;
    }

    $got =~ s/\A.*?\r\n\r\n//s;

    return $got;
}

sub paths { return sort map { /"path":"([^"]+)"/g } @_ }

my @streams = map { start($_, 1) } '', '', '&type=service';
my @polls = map { start($_, 0) } '', '&type=service', '&service=many';

my $r = api($t, 'PUT', 'services/many/endpoints', [ map {
    { address => '10.0.' . ($_ >> 8) . '.' . ($_ & 255), port => 1 }
} 1 .. $N ]);
is($r->{status}, 200, "$N changes") or diag(substr $r->{content}, 0, 200);

my $last = $r->{json}{revision};
my @all = paths(map { qq("path":"$_") } 'services/many',
                map { 'services/many/endpoints/10.0.' . ($_ >> 8) . '.'
                      . ($_ & 255) . '%3A1' } 1 .. $N);

for my $n (0, 1) {
    my $got = told($streams[$n], qr/"bookmark":$last\}\n/);
    is_deeply([ paths($got) ], \@all, "stream $n: each of them once");
    is((grep { eval { decode_json($_); 0 } // 1 } split /\n/, $got), 0,
       '... in lines of JSON');
}

is_deeply([ paths(told($streams[2], qr/"bookmark":$last\}\n/)) ],
          [ 'services/many' ], 'a stream of services');

for my $n (0, 2) {
    my $got = decode_json(told($polls[$n], qr/\}\n\z/));
    is_deeply([ sort map { $_->{path} } @{ $got->{items} } ], \@all,
              "poll $n: each of them once");
    is($got->{revision}, $last, '... and where to go on');
}

my $got = decode_json(told($polls[1], qr/\}\n\z/));
is(join(' ', map { $_->{path} } @{ $got->{items} }), 'services/many',
   'a poll of services');

$from = $last;
my $stream = start('', 1);
api($t, 'DELETE', 'services/many');
api($t, 'PUT', 'routes/a', { deny => 'x' });
$last += 2;
my @gone = paths(told($stream, qr/"bookmark":$last\}\n/) =~ /.*"removed".*/g);
is_deeply(\@gone, \@all, 'all that went');

$t->done;
