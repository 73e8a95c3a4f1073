#!/usr/bin/perl

# A line for each write, accepted or refused.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use HTTP::Tiny;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Test::More;

use Mesh::Api;
use Mesh::Test;

my $t = Mesh::Test->new;

$t->write_file('users', "alice:{PLAIN}secret\n");
$t->write_conf(api_conf(service => 'endpoint 127.0.0.1:1;',
                        args => 'audit=%%DIR%%/audit.log',
                        location => 'auth_basic a; auth_basic_user_file '
                                    . '%%DIR%%/users; client_max_body_size '
                                    . '1m; limit_except GET PUT POST PATCH '
                                    . 'DELETE { deny all; }'));
$t->run;

my @auth = (authorization => 'Basic ' . encode_base64('alice:secret', ''));

sub lines { map { decode_json($_) } split /\n/, $t->read_file($_[0]) }

api($t, 'GET', 'services', undef, @auth);
api($t, 'PUT', 'services/x', {}, @auth);
api($t, 'PUT', 'services/x?dry_run=1', { balancer => 'random' }, @auth);
api($t, 'PUT', 'services/x', { balancer => "\x{1}\"" }, @auth);
api($t, 'DELETE', 'services/demo.Echo', undef, @auth, 'if-match' => '*');
api($t, 'POST', 'services/x', {}, @auth);

my @lines = lines('audit.log');
is(scalar @lines, 5, 'writes, and no reads');
is(join(' ', map { $_->{status} } @lines), '201 200 422 409 405', 'how');
is(join(' ', map { $_->{result} } @lines),
   'ok ok BadField OwnedByConfig MethodNotAllowed', '... and why');
is($lines[0]{principal}, 'alice', 'who');
is($lines[0]{remote}, '127.0.0.1', 'from where');
is("$lines[0]{method} $lines[0]{path}", 'PUT services/x', 'what');
is($lines[0]{new_revision} - $lines[0]{old_revision}, 1, 'a new revision');
is($lines[1]{new_revision}, $lines[1]{old_revision}, 'a dry run has none');
ok($lines[1]{dry_run} && !$lines[0]{dry_run}, '... and says so');
is($lines[3]{if_match}, '*', 'a precondition');
like($lines[0]{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/, 'when');

my $override = 'services/demo.Echo/endpoints/127.0.0.1:1/override';
api($t, 'PUT', $override, { weight => 1, by => 'mallory' }, @auth);
is(api($t, 'GET', $override, undef, @auth)->{json}{spec}{by}, 'alice',
   'an override says whose it is');

# arguments, and what nginx itself refuses

sub chunked {
    my ($method, $path, $content, %headers) = @_;

    return HTTP::Tiny->new->request(
        $method, 'http://127.0.0.1:' . $t->port('http') . "/api/1/$path",
        { content => $content, headers => {
            %headers, 'content-type' => 'application/json' } });
}

sub last_line {
    my $n = () = lines('audit.log');
    my $r = ref $_[2] eq 'CODE' ? chunked(@_) : api($t, @_);
    wait_for { $n < (() = lines('audit.log')) } 10, 'a line';
    is(scalar(() = lines('audit.log')), $n + 1, "one line of @_[0, 1]");
    my $line = (lines('audit.log'))[-1];
    is($line->{status}, $r->{status}, '... how it was answered');
    return $line;
}

my $line = last_line('DELETE', 'services/x?force=1', undef, @auth,
                     'x-mesh-revision' => 1);
is($line->{args}, 'force=1', '... the arguments');
is($line->{x_mesh_revision}, 1, '... the revision it relied on');

my $large = '"' . 'x' x 1_100_000 . '"';
$line = last_line('PUT', 'services/x', $large, @auth);
is(join(' ', @$line{qw(method path result principal)}),
   'PUT services/x BodyTooLarge alice', '... a body that is too large');
my $rest = $large;
$line = last_line('PUT', 'services/x', sub { substr $rest, 0, 65536, '' },
                  @auth);
is(join(' ', @$line{qw(method path result)}), 'PUT services/x BodyTooLarge',
   '... in chunks');
is($line->{new_revision}, $line->{old_revision}, '... no new revision');

$line = last_line('DELETE', 'services/x?force=1', undef, authorization =>
                  'Basic ' . encode_base64('alice:wrong', ''));
is(join(' ', @$line{qw(method path args result status)}),
   'DELETE services/x force=1 Refused 401', '... a wrong password');
is($line->{principal}, undef, '... is nobody');
$line = last_line('MKCOL', 'services/x', undef, @auth);
is("$line->{method} $line->{result} $line->{status}", 'MKCOL Refused 403',
   '... a method that is not let in');

my $n = () = lines('audit.log');
api($t, 'GET', 'services');
api($t, 'GET', 'nothing', undef, @auth);
api($t, 'POST', 'explain', { service => 5 }, @auth);
api($t, 'OPTIONS', 'services', undef, @auth);
is(scalar(() = lines('audit.log')), $n, 'reads have none');

my $old = $t->path_of('audit.log');
rename $old, "$old.1" or die "rename: $!\n";
$t->signal('USR1');
ok(wait_for(sub { -e $old }, 10), 'a new file');
wait_for { api($t, 'PATCH', 'services/x', {}, @auth); -s $old } 10, 'a line';
is((lines('audit.log'))[0]{method}, 'PATCH', '... is written to');

$t->done;
